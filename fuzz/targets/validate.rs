//! The validator: any JSON gives a report. Bytes that are no JSON choose damage to a seed instead.
#![no_main]

#[path = "../../benches/mutants/damage.rs"]
mod damage;
#[path = "../../tests/support/mutate.rs"]
mod mutate;

use std::sync::LazyLock;

use liaison::{
    definitions::Definitions,
    fhir::{self, Value},
    profile::{Options, Validator},
};
use libfuzzer_sys::fuzz_target;

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| Validator::new(Definitions::core()));
static SEEDS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    [
        r##"{"resourceType":"Patient","id":"p","name":[{"family":"A"}],"contact":[{"name":{"text":"x"}}],"birthDate":"1970-01-01"}"##,
        r##"{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},
            "subject":{"reference":"Patient/p"},"effectiveDateTime":"2020","valueQuantity":{"value":60,"code":"/min","system":"http://unitsofmeasure.org"}}"##,
        r##"{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520","resource":{"resourceType":"Basic","code":{"text":"x"}}}]}"##,
        r##"{"resourceType":"Questionnaire","status":"draft","item":[{"linkId":"1","type":"choice","answerOption":[{"valueString":"a"}],"enableWhen":[{"question":"1","operator":"exists","answerBoolean":true}]}]}"##,
        r##"{"resourceType":"StructureDefinition","url":"http://x.test/p","name":"P","status":"draft","kind":"resource","abstract":false,"type":"Patient",
            "baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient","derivation":"constraint","differential":{"element":[{"id":"Patient.name","path":"Patient.name","min":1}]}}"##,
        r##"{"resourceType":"ValueSet","url":"http://x.test/v","status":"draft","compose":{"include":[{"system":"http://loinc.org","concept":[{"code":"1-8"}]}]}}"##,
    ]
    .iter()
    .map(|text| fhir::read_str(text).expect("JSON"))
    .collect()
});

fuzz_target!(|bytes: &[u8]| {
    let value = fhir::read(bytes).unwrap_or_else(|_| {
        let seed = bytes.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        let mut random = fastrand::Rng::with_seed(seed);
        let mut value = SEEDS[random.usize(..SEEDS.len())].clone();
        for _ in 0..bytes.len().min(8) {
            damage::damage(&mut value, &mut random, &SEEDS);
        }
        value
    });
    let _ = VALIDATOR.validate(&value, &Options::default());
});
