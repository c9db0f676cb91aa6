//! Generated bad instances: for the types of the objects that are exchanged, every cardinality, every JSON type, every
//! required binding and every invariant is broken once, and each breach must be reported as an error. The generator
//! reads the definitions, so that a constraint that nobody broke here fails the test.

use std::collections::BTreeSet;

use liaison::{
    definitions::{Definitions, Kind, Strength, Structure},
    fhir::{self, Value},
    profile::{Options, Validator},
};
use serde_json::json;

/// A small valid instance of each type.
const GOOD: &[&str] = &[
    r#"{"resourceType":"Appointment","status":"booked","start":"2026-01-01T10:00:00Z","end":"2026-01-01T11:00:00Z","participant":[{"actor":{"reference":"Patient/1"},"status":"accepted"}]}"#,
    r#"{"resourceType":"AppointmentResponse","appointment":{"reference":"Appointment/1"},"actor":{"reference":"Patient/1"},"participantStatus":"accepted"}"#,
    r#"{"resourceType":"Schedule","active":true,"actor":[{"reference":"Practitioner/1"}]}"#,
    r#"{"resourceType":"Slot","schedule":{"reference":"Schedule/1"},"status":"free","start":"2026-01-01T10:00:00Z","end":"2026-01-01T11:00:00Z"}"#,
    r#"{"resourceType":"Patient","active":true,"contact":[{"name":{"text":"x"}}],"link":[{"other":{"reference":"Patient/2"},"type":"seealso"}],"communication":[{"language":{"text":"x"}}]}"#,
    r#"{"resourceType":"Practitioner","active":true,"qualification":[{"code":{"text":"x"}}]}"#,
    r#"{"resourceType":"PractitionerRole","active":true}"#,
    r#"{"resourceType":"Organization","name":"x","telecom":[{"system":"phone","value":"1","use":"work"}],"address":[{"city":"x","use":"work"}]}"#,
    r#"{"resourceType":"Location","status":"active","position":{"longitude":1.5,"latitude":2}}"#,
    r#"{"resourceType":"Communication","status":"completed","payload":[{"contentString":"x"}]}"#,
    r#"{"resourceType":"CommunicationRequest","status":"active","payload":[{"contentString":"x"}]}"#,
    r#"{"resourceType":"DocumentReference","status":"current","content":[{"attachment":{"contentType":"text/plain","data":"aGk="}}],"relatesTo":[{"code":"replaces","target":{"reference":"DocumentReference/1"}}]}"#,
    r#"{"resourceType":"ServiceRequest","status":"active","intent":"order","subject":{"reference":"Patient/1"},"code":{"text":"x"}}"#,
    r#"{"resourceType":"Task","status":"requested","intent":"order","authoredOn":"2026-01-01","lastModified":"2026-01-02"}"#,
    r#"{"resourceType":"Encounter","status":"finished","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"}}"#,
    r#"{"resourceType":"Condition","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]},"subject":{"reference":"Patient/1"},"stage":[{"summary":{"text":"x"}}],"evidence":[{"code":[{"text":"x"}]}]}"#,
    r#"{"resourceType":"AllergyIntolerance","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]},"patient":{"reference":"Patient/1"}}"#,
    r#"{"resourceType":"MedicationStatement","status":"active","medicationCodeableConcept":{"text":"x"},"subject":{"reference":"Patient/1"}}"#,
    r#"{"resourceType":"MedicationRequest","status":"active","intent":"order","medicationCodeableConcept":{"text":"x"},"subject":{"reference":"Patient/1"}}"#,
    r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.10,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"},"referenceRange":[{"text":"x"}]}"#,
    r#"{"resourceType":"Immunization","status":"completed","vaccineCode":{"text":"x"},"patient":{"reference":"Patient/1"},"occurrenceDateTime":"2020","education":[{"documentType":"x"}]}"#,
    r#"{"resourceType":"Procedure","status":"completed","subject":{"reference":"Patient/1"}}"#,
    r#"{"resourceType":"DiagnosticReport","status":"final","code":{"text":"x"}}"#,
    r#"{"resourceType":"Coverage","status":"active","beneficiary":{"reference":"Patient/1"},"payor":[{"reference":"Organization/1"}]}"#,
    r#"{"resourceType":"Invoice","status":"issued"}"#,
    r#"{"resourceType":"Consent","status":"active","scope":{"text":"x"},"category":[{"text":"x"}],"policyRule":{"text":"x"},"patient":{"reference":"Patient/1"}}"#,
];

/// Type of `GOOD`, invariant, and a merge patch that breaks it.
const BREACHES: &[(&str, &str, &str)] = &[
    ("Appointment", "app-1", r#"{"participant":[{"status":"accepted"}]}"#),
    ("Appointment", "app-2", r#"{"end":null}"#),
    ("Appointment", "app-3", r#"{"start":null,"end":null}"#),
    ("Appointment", "app-4", r#"{"cancelationReason":{"text":"x"}}"#),
    ("AppointmentResponse", "apr-1", r#"{"actor":null}"#),
    ("Patient", "pat-1", r#"{"contact":[{"gender":"male"}]}"#),
    ("Organization", "org-1", r#"{"name":null}"#),
    ("Organization", "org-2", r#"{"address":[{"city":"x","use":"home"}]}"#),
    ("Organization", "org-3", r#"{"telecom":[{"system":"phone","value":"1","use":"home"}]}"#),
    ("ServiceRequest", "prr-1", r#"{"code":null,"orderDetail":[{"text":"x"}]}"#),
    ("Task", "inv-1", r#"{"lastModified":"2025-01-01"}"#),
    ("Condition", "con-1", r#"{"stage":[{"type":{"text":"x"}}]}"#),
    ("Condition", "con-2", r#"{"evidence":[{"id":"x","extension":[{"url":"http://x.org/e","valueString":"x"}]}]}"#),
    ("Condition", "con-4", r#"{"abatementString":"x"}"#),
    (
        "Condition",
        "con-5",
        r#"{"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"entered-in-error"}]}}"#,
    ),
    ("AllergyIntolerance", "ait-1", r#"{"clinicalStatus":null}"#),
    (
        "AllergyIntolerance",
        "ait-2",
        r#"{"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-verification","code":"entered-in-error"}]}}"#,
    ),
    ("Observation", "obs-3", r#"{"referenceRange":[{"type":{"text":"x"}}]}"#),
    ("Observation", "obs-6", r#"{"dataAbsentReason":{"text":"x"}}"#),
    (
        "Observation",
        "obs-7",
        r#"{"code":{"coding":[{"system":"http://x.org","code":"a"}]},"component":[{"code":{"coding":[{"system":"http://x.org","code":"a"}]}}]}"#,
    ),
    ("Immunization", "imm-1", r#"{"education":[{"publicationDate":"2020"}]}"#),
    ("Consent", "ppc-1", r#"{"policyRule":null}"#),
    ("Consent", "ppc-2", r#"{"patient":null,"scope":{"coding":[{"system":"something","code":"patient-privacy"}]}}"#),
    ("Consent", "ppc-3", r#"{"patient":null,"scope":{"coding":[{"system":"something","code":"research"}]}}"#),
    ("Consent", "ppc-4", r#"{"patient":null,"scope":{"coding":[{"system":"something","code":"adr"}]}}"#),
    ("Consent", "ppc-5", r#"{"patient":null,"scope":{"coding":[{"system":"something","code":"treatment"}]}}"#),
    ("Patient", "ext-1", r#"{"extension":[{"url":"http://x.org/e"}]}"#),
    (
        "Patient",
        "dom-2",
        r##"{"managingOrganization":{"reference":"#a"},"contained":[{"resourceType":"Organization","id":"a","name":"x","contained":[{"resourceType":"Organization","id":"b","name":"x"}]}]}"##,
    ),
    ("Patient", "dom-3", r#"{"contained":[{"resourceType":"Organization","id":"a","name":"x"}]}"#),
    (
        "Patient",
        "dom-4",
        r##"{"managingOrganization":{"reference":"#a"},"contained":[{"resourceType":"Organization","id":"a","name":"x","meta":{"versionId":"1"}}]}"##,
    ),
    (
        "Patient",
        "dom-5",
        r##"{"managingOrganization":{"reference":"#a"},"contained":[{"resourceType":"Organization","id":"a","name":"x","meta":{"security":[{"code":"x"}]}}]}"##,
    ),
    ("DocumentReference", "att-1", r#"{"content":[{"attachment":{"data":"aGk="}}]}"#),
    ("Patient", "cpt-2", r#"{"telecom":[{"value":"1"}]}"#),
    ("Patient", "per-1", r#"{"name":[{"text":"x","period":{"start":"2021","end":"2020"}}]}"#),
    ("Observation", "qty-3", r#"{"valueQuantity":{"value":1,"code":"kg"}}"#),
    ("Observation", "rng-2", r#"{"valueQuantity":null,"valueRange":{"low":{"value":2},"high":{"value":1}}}"#),
    ("Observation", "rat-1", r#"{"valueQuantity":null,"valueRatio":{"numerator":{"value":2}}}"#),
    ("Patient", "ref-1", r##"{"managingOrganization":{"reference":"#a"}}"##),
    (
        "Patient",
        "txt-1",
        r#"{"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><script>x</script></div>"}}"#,
    ),
    ("Observation", "sqty-1", r#"{"referenceRange":[{"low":{"value":1,"comparator":"<"}}]}"#),
    ("Condition", "age-1", r#"{"onsetAge":{"value":1}}"#),
    (
        "MedicationRequest",
        "drt-1",
        r#"{"dispenseRequest":{"expectedSupplyDuration":{"value":1,"code":"d","system":"http://x.org"}}}"#,
    ),
    ("MedicationRequest", "tim-1", r#"{"dosageInstruction":[{"timing":{"repeat":{"duration":1}}}]}"#),
    ("MedicationRequest", "tim-2", r#"{"dosageInstruction":[{"timing":{"repeat":{"period":1}}}]}"#),
    (
        "MedicationRequest",
        "tim-4",
        r#"{"dosageInstruction":[{"timing":{"repeat":{"duration":-1,"durationUnit":"d"}}}]}"#,
    ),
    ("MedicationRequest", "tim-5", r#"{"dosageInstruction":[{"timing":{"repeat":{"period":-1,"periodUnit":"d"}}}]}"#),
    ("MedicationRequest", "tim-6", r#"{"dosageInstruction":[{"timing":{"repeat":{"periodMax":1,"periodUnit":"d"}}}]}"#),
    (
        "MedicationRequest",
        "tim-7",
        r#"{"dosageInstruction":[{"timing":{"repeat":{"durationMax":1,"durationUnit":"d"}}}]}"#,
    ),
    ("MedicationRequest", "tim-8", r#"{"dosageInstruction":[{"timing":{"repeat":{"countMax":1}}}]}"#),
    ("MedicationRequest", "tim-9", r#"{"dosageInstruction":[{"timing":{"repeat":{"offset":1}}}]}"#),
    (
        "MedicationRequest",
        "tim-10",
        r#"{"dosageInstruction":[{"timing":{"repeat":{"timeOfDay":["10:00:00"],"when":["MORN"]}}}]}"#,
    ),
    (
        "Task",
        "cnt-3",
        r#"{"input":[{"type":{"text":"x"},"valueCount":{"value":1.5,"code":"1","system":"http://unitsofmeasure.org"}}]}"#,
    ),
    ("Task", "dis-1", r#"{"input":[{"type":{"text":"x"},"valueDistance":{"value":1}}]}"#),
    (
        "Task",
        "drq-1",
        r#"{"input":[{"type":{"text":"x"},"valueDataRequirement":{"type":"Patient","codeFilter":[{"code":[{"code":"x"}]}]}}]}"#,
    ),
    (
        "Task",
        "drq-2",
        r#"{"input":[{"type":{"text":"x"},"valueDataRequirement":{"type":"Patient","dateFilter":[{"valueDateTime":"2020"}]}}]}"#,
    ),
    ("Task", "exp-1", r#"{"input":[{"type":{"text":"x"},"valueExpression":{"language":"text/fhirpath"}}]}"#),
    (
        "Task",
        "trd-1",
        r#"{"input":[{"type":{"text":"x"},"valueTriggerDefinition":{"type":"data-added","data":[{"type":"Patient"}],"timingDate":"2020"}}]}"#,
    ),
    (
        "Task",
        "trd-2",
        r#"{"input":[{"type":{"text":"x"},"valueTriggerDefinition":{"type":"named-event","name":"x","condition":{"language":"text/fhirpath","expression":"true"}}}]}"#,
    ),
    ("Task", "trd-3", r#"{"input":[{"type":{"text":"x"},"valueTriggerDefinition":{"type":"periodic"}}]}"#),
];

/// Checked otherwise (`ele-1` by the shape), or only words in R4 (`txt-2`).
const NOT_HERE: &[&str] = &["ele-1", "txt-2", "dom-6", "con-3"];

fn merge(target: &mut Value, patch: &Value) {
    for (key, part) in patch.as_object().expect("an object") {
        match part {
            Value::Null => {
                target.as_object_mut().expect("an object").shift_remove(key);
            }
            part => target[key.as_str()] = part.clone(),
        }
    }
}

struct Bench {
    validator: Validator,
    options: Options,
}

impl Bench {
    fn rules(&self, value: &Value) -> Vec<String> {
        let report = self.validator.validate(value, &self.options);
        report.errors().map(|issue| issue.rule.to_string()).collect()
    }
}

fn bench() -> Bench {
    Bench { validator: Validator::new(Definitions::core()), options: Options::default() }
}

fn good(kind: &str) -> Value {
    let all = GOOD.iter().map(|text| fhir::read_str(text).expect("JSON"));
    all.into_iter().find(|value| value["resourceType"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

#[test]
fn every_invariant_is_caught() {
    let bench = bench();
    for (kind, rule, patch) in BREACHES {
        let mut value = good(kind);
        merge(&mut value, &fhir::read_str(patch).expect("JSON"));
        let rules = bench.rules(&value);
        assert!(rules.iter().any(|found| found == rule), "{rule} on {kind}: {rules:?}");
    }
    let broken: BTreeSet<&str> = BREACHES.iter().map(|breach| breach.1).chain(NOT_HERE.iter().copied()).collect();
    let mut stated = BTreeSet::new();
    for text in GOOD {
        let kind = fhir::read_str(text).expect("JSON")["resourceType"].as_str().expect("a type").to_owned();
        collect(&bench.validator, &kind, &mut stated, &mut BTreeSet::new());
    }
    // Of data types that none of these objects' own elements lead to within a few steps nothing is asked.
    let missed: Vec<&String> = stated.iter().filter(|key| !broken.contains(key.as_str())).collect();
    assert!(missed.is_empty(), "invariants that no bad instance breaks: {missed:?}");
}

/// The keys of all error invariants of a type and the data types that it uses.
fn collect(validator: &Validator, kind: &str, keys: &mut BTreeSet<String>, seen: &mut BTreeSet<String>) {
    if !seen.insert(kind.to_owned()) {
        return;
    }
    let Some(structure) = validator.definitions().base_type(kind) else { return };
    for element in &structure.elements {
        keys.extend(element.constraints.iter().filter(|it| it.is_error).map(|it| it.key.clone()));
        // What an extension may hold is a world of its own.
        let skip = kind == "Extension" || element.name() == "contained";
        for ty in element.types.iter().filter(|_| !skip) {
            collect(validator, &ty.code, keys, seen);
        }
    }
}

/// Elements directly below the root or a backbone element that the instance has, with a way to reach the parent.
fn places(structure: &Structure, value: &Value) -> Vec<(usize, String)> {
    let mut found = vec![(0, String::new())];
    for (at, element) in structure.elements.iter().enumerate().skip(1) {
        let pointer = format!("/{}/0", element.name());
        if element.path.matches('.').count() == 1
            && !structure.children(at).is_empty()
            && value.pointer(&pointer).is_some()
        {
            found.push((at, pointer));
        }
    }
    found
}

#[test]
fn every_cardinality_type_and_binding_is_caught() {
    let bench = bench();
    let (mut removed, mut retyped, mut recoded) = (0, 0, 0);
    for text in GOOD {
        let value = fhir::read_str(text).expect("JSON");
        let kind = value["resourceType"].as_str().expect("a type");
        assert_eq!(bench.rules(&value), [] as [&str; 0], "{text}");
        let structure = bench.validator.definitions().base_type(kind).expect("a type");
        for (parent, pointer) in places(&structure, &value) {
            for child in structure.children(parent) {
                let element = &structure.elements[*child];
                let Some(ty) = element.types.first() else { continue };
                let name = match element.choice() {
                    Some(choice) => format!("{choice}{}{}", ty.code[..1].to_uppercase(), &ty.code[1..]),
                    None => element.name().to_owned(),
                };
                let set = |change: &dyn Fn(&mut fhir::Object)| {
                    let mut changed = value.clone();
                    change(changed.pointer_mut(&pointer).and_then(Value::as_object_mut).expect("the parent"));
                    bench.rules(&changed)
                };
                if element.min > 0 {
                    let rules = set(&|members| {
                        members.retain(|key, _| {
                            *key != name && !element.choice().is_some_and(|choice| key.starts_with(choice))
                        });
                    });
                    assert!(
                        rules.iter().any(|rule| rule == "cardinality" || rule == "empty"),
                        "{}: {rules:?}",
                        element.path
                    );
                    removed += 1;
                }
                let wrong_shape = if element.is_list() { json!({"id": "x"}) } else { json!(["x"]) };
                for wrong in [wrong_shape, json!(null), if element.is_list() { json!([]) } else { json!({}) }] {
                    let rules = set(&|members| drop(members.insert(name.clone(), wrong.clone())));
                    assert!(!rules.is_empty(), "{} as {wrong}", element.path);
                    retyped += 1;
                }
                let primitive =
                    bench.validator.definitions().base_type(&ty.code).is_some_and(|it| it.kind == Kind::Primitive);
                let wrong = if !primitive || ty.code == "boolean" { json!("x y") } else { json!({"value": "x"}) };
                let wrong = if element.is_list() { json!([wrong]) } else { wrong };
                let rules = set(&|members| drop(members.insert(name.clone(), wrong.clone())));
                assert!(!rules.is_empty(), "{} as {wrong}", element.path);
                let required = element.binding.as_ref().is_some_and(|binding| binding.strength == Strength::Required);
                if required
                    && ty.code == "code"
                    && !element
                        .binding
                        .as_ref()
                        .is_some_and(|it| it.value_set.as_deref().is_some_and(|set| set.contains("mimetypes")))
                {
                    let wrong = if element.is_list() { json!(["no-such-code"]) } else { json!("no-such-code") };
                    let rules = set(&|members| drop(members.insert(name.clone(), wrong.clone())));
                    assert!(rules.iter().any(|rule| rule == "binding"), "{}: {rules:?}", element.path);
                    recoded += 1;
                }
            }
        }
    }
    println!("{removed} cardinalities, {retyped} types, {recoded} bindings broken");
    assert!(removed > 50 && retyped > 1_500 && recoded > 30);
}
