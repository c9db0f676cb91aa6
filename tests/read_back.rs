//! What is read can always be sent back: any R4-valid resource, made by chance from FHIR's definitions and not from a mapping,
//! and such ones with blemishes, is read into an object that its own schema takes. What a blemish leaves missing or standing
//! together wrongly locks no other field. Seeds are fixed; `SEED=n` tries another.

use std::{collections::BTreeMap, sync::Arc};

use fastrand::Rng;
use liaison::{
    definitions::{Definitions, Element, Member, Strength, Structure},
    fhir::{Value, canonically_equal},
    mapping::{Context, Mappings, ObjectType, Plan},
    profile::{Options, Validator},
};
use serde_json::{Map, json};

/// Resources of each object that are wanted, and how many may be made for them.
const GOOD: usize = 40;
const TRIES: usize = 900;

struct Maker<'a> {
    definitions: &'a Arc<Definitions>,
    rng: &'a mut Rng,
    mappings: &'a Mappings,
    sets: &'a mut BTreeMap<String, Vec<Member>>,
}

impl Maker<'_> {
    fn resource(&mut self, kind: &str) -> Value {
        let structure = self.definitions.base_type(kind).expect("a resource type");
        let mut made = Value::Object(self.children(&structure, 0, 0));
        made["resourceType"] = kind.into();
        made
    }

    fn children(&mut self, structure: &Arc<Structure>, at: usize, depth: usize) -> Map<String, Value> {
        const AROUND: &[&str] =
            &["id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension"];
        let mut members = Map::new();
        for child in structure.children(at).to_vec() {
            let element = structure.elements[child].clone();
            let around = if depth == 0 { AROUND } else { &["id", "extension", "modifierExtension"][..] };
            if around.contains(&element.name()) || element.max == Some(0) {
                continue;
            }
            let share = if depth > 2 { 30 } else { 110 };
            if element.min == 0 && self.rng.u8(..) > share {
                continue;
            }
            let Some(ty) = element.types.get(self.rng.usize(..element.types.len().max(1))) else { continue };
            let name = match element.choice() {
                Some(choice) => format!("{choice}{}{}", ty.code[..1].to_uppercase(), &ty.code[1..]),
                None => element.name().to_owned(),
            };
            let count = if element.is_list() { 1 + self.rng.usize(..2) } else { 1 };
            let values: Vec<Value> = (0..count)
                .filter_map(|_| self.value(structure, child, &element, &ty.code, &ty.target_profiles, depth))
                .collect();
            match (element.is_list(), values.is_empty()) {
                (_, true) => {}
                (true, false) => _ = members.insert(name, values.into()),
                (false, false) => _ = members.insert(name, values[0].clone()),
            }
        }
        members
    }

    fn value(
        &mut self,
        structure: &Arc<Structure>,
        at: usize,
        element: &Element,
        code: &str,
        targets: &[String],
        depth: usize,
    ) -> Option<Value> {
        let bound = element.binding.as_ref().filter(|binding| binding.strength == Strength::Required);
        let set = bound.and_then(|binding| binding.value_set.as_deref()).map(str::to_owned);
        let definitions = self.definitions;
        let members = set.map(|url| {
            let expanded = || definitions.value_set(&url).and_then(|set| set.expand(300).ok()).unwrap_or_default();
            &*self.sets.entry(url.clone()).or_insert_with(expanded)
        });
        let member = members.filter(|all| !all.is_empty()).map(|all| all[self.rng.usize(..all.len())].clone());
        Some(match (code, member) {
            ("code", Some(member)) => member.code.into(),
            ("CodeableConcept", Some(member)) => {
                json!({ "coding": [{ "system": member.system, "code": member.code }] })
            }
            ("Coding", Some(member)) => json!({ "system": member.system, "code": member.code }),
            ("Reference", _) => self.reference(targets),
            ("BackboneElement" | "Element", _) => Value::Object(self.children(structure, at, depth + 1)),
            (code, _) if code.starts_with(char::is_lowercase) => self.primitive(code),
            _ if depth > 4 => return None,
            (code, _) => {
                let inner = self.definitions.base_type(code)?;
                Value::Object(self.children(&inner, 0, depth + 1))
            }
        })
        .filter(|value| value.as_object().is_none_or(|members| !members.is_empty()))
    }

    fn pick<'p>(&mut self, from: &[&'p str]) -> &'p str {
        from[self.rng.usize(..from.len())]
    }

    fn reference(&mut self, targets: &[String]) -> Value {
        let target = targets.get(self.rng.usize(..targets.len().max(1))).and_then(|target| target.rsplit('/').next());
        let target = target.filter(|kind| *kind != "Resource").unwrap_or("Patient").to_owned();
        let ours: Vec<&str> = self
            .mappings
            .objects()
            .filter(|object| object.resource_type() == target)
            .map(|object| object.name())
            .collect();
        let number = self.rng.u8(..5);
        let mut made = match self.rng.u8(..7) {
            0 => json!({ "display": "Ann Poe" }),
            1 => json!({ "reference": format!("http://elsewhere.example/fhir/{target}/{number}") }),
            2 => json!({ "identifier": { "value": number.to_string() } }),
            3 => {
                json!({ "type": target, "identifier": { "system": "urn:oid:1.2.3", "value": number.to_string(), "use": "old" } })
            }
            4 => json!({ "type": target, "identifier": { "type": { "text": "number" } } }),
            _ => match ours.as_slice() {
                [] => json!({ "reference": format!("{target}/{number}") }),
                // As the sync writes what it knows.
                all => {
                    let system = format!("urn:liaison:north:{}", all[self.rng.usize(..all.len())]);
                    json!({ "reference": format!("{target}/{number}"), "type": target, "identifier": { "system": system, "value": format!("x{number}") } })
                }
            },
        };
        if self.rng.u8(..4) == 0 {
            made["display"] = "Ann Poe".into();
        }
        made
    }

    fn primitive(&mut self, code: &str) -> Value {
        const TIMES: &[&str] = &[
            "2026-05-04T09:30:00Z",
            "2026-05-04T09:30:00.1234567890123+14:00",
            "0001-01-01T00:00:00-13:59",
            "9999-12-31T23:59:59.9Z",
            "2016-12-31T23:59:60Z",
        ];
        let long = "a word ".repeat(40);
        match code {
            "boolean" => self.rng.bool().into(),
            "integer" => [0, -2_147_483_648, 2_147_483_647][self.rng.usize(..3)].into(),
            "positiveInt" => [1, 7, 2_147_483_647][self.rng.usize(..3)].into(),
            "unsignedInt" => [0, 7, 2_147_483_647][self.rng.usize(..3)].into(),
            "decimal" => {
                serde_json::from_str(self.pick(&["1.10", "-0.000001", "100000000000000000", "12e3"])).expect("a number")
            }
            "date" => self.pick(&["2026", "2026-02", "2024-02-29", "0001", "9999-12-31"]).into(),
            "dateTime" => {
                if self.rng.bool() { self.pick(&["2026", "2026-02", "2024-02-29", "0001"]) } else { self.pick(TIMES) }
                    .into()
            }
            "instant" => self.pick(TIMES).into(),
            "time" => self.pick(&["09:30:00", "23:59:60", "00:00:00.1234567890"]).into(),
            "uri" | "url" | "canonical" => {
                self.pick(&["http://example.org/a", "urn:oid:1.2.3", "https://x.example/?a=b#c"]).into()
            }
            "code" => self.pick(&["en", "two words", "x-1"]).into(),
            "id" => "a.b-1".into(),
            "base64Binary" => self.pick(&["aGVsbG8=", "aGVs\n bG8=", "AAEC\r\nAwQF"]).into(),
            _ => self.pick(&["x", "Müller-Łukasz", "a\ttab", " spaced ", "١٢٣", &long]).to_owned().into(),
        }
    }

    /// One blemish somewhere, of those that EHRs are known for.
    fn damage(&mut self, value: &mut Value) {
        let mut leaves = Vec::new();
        places(value, "", &mut leaves);
        if leaves.is_empty() {
            return;
        }
        let pointer = leaves[self.rng.usize(..leaves.len())].clone();
        let Some(there) = value.pointer_mut(&pointer) else { return };
        *there = match self.rng.u8(..12) {
            0 => "".into(),
            1 => " \n".into(),
            2 => json!([]),
            3 => json!({}),
            4 => json!(3),
            5 => json!("true"),
            6 => "2026-05-04T09:30:00".into(),
            7 => "nothing of the kind".into(),
            8 => json!({ "reference": "urn:liaison:north:patient" }),
            9 => json!({ "type": "Patient", "identifier": { "system": "urn:liaison:north:patient", "value": "p 1" } }),
            10 => json!([{ "value": "" }]),
            _ => Value::Null,
        };
    }
}

fn places(value: &Value, pointer: &str, found: &mut Vec<String>) {
    if !pointer.is_empty() && pointer != "/resourceType" {
        found.push(pointer.to_owned());
    }
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, inner)| places(inner, &format!("{pointer}/{name}"), found))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| places(item, &format!("{pointer}/{at}"), found));
        }
        _ => {}
    }
}

fn seed() -> u64 {
    std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_128)
}

/// Reads, writes back unchanged, and changes one thing that nobody filled in badly: what is wrong now.
fn breaches(object: &ObjectType, plan: &Plan, resource: &Value, valid: bool) -> Vec<String> {
    let context = Context::new("north").in_zone("Europe/London");
    let said = plan.to_internal(std::slice::from_ref(resource), &context);
    let mut found = Vec::new();
    let held = plan.parts(std::slice::from_ref(resource));
    for finding in object.validate(&said) {
        // What says nothing that the object can say is missing; a blemish may leave two forms together; rules between fields are
        // asked of what is sent. But nothing must be read as a value that is refused.
        let together = ["exclude each other", "fits none", "cannot stand beside"];
        let missing = finding.code == "LIA-MAP-005" || finding.code == "LIA-MAP-016";
        if !missing && (valid || !together.iter().any(|words| finding.detail.contains(words))) {
            found.push(format!("{} {} {}", finding.code, finding.pointer, finding.detail));
        }
    }
    match plan.put(&said, &held, &context) {
        Ok(back) if canonically_equal(&back[0].resource, resource) => {}
        Ok(_) => found.push("writing back what was read changes the resource".to_owned()),
        Err(error) => found.push(format!("cannot be written back: {error:?}")),
    }
    let mut changed = said.clone();
    let number = json!({ "system": "urn:oid:1.2.3.4", "value": "one more" });
    match changed.get_mut("identifiers").and_then(Value::as_array_mut) {
        Some(numbers) => numbers.insert(0, number),
        None => changed["identifiers"] = json!([number]),
    }
    found.extend(
        object.new_faults(&said, &changed).into_iter().map(|fault| format!("new: {} {}", fault.code, fault.pointer)),
    );
    match plan.put(&changed, &held, &context) {
        Ok(after) => {
            let read = plan.said(&after, &context);
            if !canonically_equal(&read, &plan.normalise(&changed, &context)) {
                found.push("what was written is not what is read".to_owned());
            }
        }
        Err(error) => found.push(format!("a change cannot be written: {error:?}")),
    }
    found
}

fn try_all(damages: usize) {
    let (definitions, mappings) = (Definitions::core(), Mappings::embedded().expect("mappings"));
    let validator = Validator::new(Arc::clone(&definitions));
    let options = Options { doubtful_data: true, ..Options::default() };
    let mut sets = BTreeMap::new();
    let (mut wrong, mut tried) = (BTreeMap::<String, String>::new(), BTreeMap::new());
    for (at, object) in mappings.objects().enumerate() {
        let mut rng = Rng::with_seed(seed() + at as u64);
        let plan = mappings.plan(object.name(), "generic").expect("a plan");
        let mut good = 0;
        for _ in 0..TRIES {
            if good == GOOD {
                break;
            }
            let mut maker = Maker { definitions: &definitions, rng: &mut rng, mappings: &mappings, sets: &mut sets };
            let mut resource = maker.resource(object.resource_type());
            (0..damages).for_each(|_| maker.damage(&mut resource));
            let valid = damages == 0;
            if valid && !validator.validate(&resource, &options).is_valid() {
                continue;
            }
            good += 1;
            for breach in breaches(object, &plan, &resource, valid) {
                let key = format!(
                    "{}: {}",
                    object.name(),
                    breach.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).take(160).collect::<String>()
                );
                let shown = resource.to_string();
                wrong.entry(key).or_insert_with(|| shown.chars().take(900).collect());
            }
        }
        tried.insert(object.name().to_owned(), good);
    }
    println!("seed {}: {tried:?}", seed());
    let list: Vec<String> = wrong.iter().map(|(what, example)| format!("{what}\n    {example}")).collect();
    assert!(list.is_empty(), "seed {}, {} kinds:\n{}", seed(), list.len(), list.join("\n"));
    for (object, good) in tried {
        assert_eq!(good, GOOD, "too few of {TRIES} resources for {object} were R4-valid");
    }
}

#[test]
fn whatever_is_r4_valid_is_read_into_what_the_schema_takes() {
    try_all(0);
}

#[test]
fn blemishes_are_read_into_nothing_that_is_refused() {
    try_all(1);
    try_all(3);
}
