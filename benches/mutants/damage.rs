//! Damage that knows FHIR: parts put where another type stands, deep nesting, huge texts and numbers, odd Unicode,
//! circles of references, repeated ids, trees of extensions, claims of profiles, wide lists.

use fastrand::Rng;
use liaison::fhir::{self, Value};
use serde_json::json;

/// Texts that broke somebody's validator.
const TEXTS: &[&str] = &[
    "",
    " ",
    "\u{0}",
    "\u{feff}x",
    "\u{202e}abc",
    "\u{fffd}\u{10ffff}",
    "𝄞é",
    "ﷺ",
    "2024-13-99T25:61:61Z",
    "2024-02-30",
    "0000",
    "-0001-01-01",
    "9999-12-31T23:59:60.999999999999+14:00",
    "P1Y",
    "urn:uuid:",
    "urn:oid:1.2.3.04",
    "http://[::1",
    "#",
    "#a",
    "Patient/#",
    "Patient/1/_history/",
    "/_history/",
    "?",
    "a|b|c",
    "|",
    "http://hl7.org/fhir/StructureDefinition/Patient|9",
    "<div xmlns=\"http://www.w3.org/1999/xhtml\"><b></div>",
    "<!--",
    "<![CDATA[",
    "&#x110000;",
    "(((((((((((((((((a+)+)+)+)+)+)+)",
    "=====",
    "%",
    "'",
    "\\",
];

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-1",
    "1e0",
    "1e400",
    "-1E-400",
    "1e999999999999999999999",
    "0.1000000000000000000000000000000001",
    "2147483648",
    "-2147483649",
    "99999999999999999999999999999999999999",
    "1.10",
];

/// Profiles that a resource may claim, whatever it is.
const PROFILES: &[&str] = &[
    "vitalsigns",
    "bp",
    "bodyweight",
    "lipidprofile",
    "cdshooksguidanceresponse",
    "shareablevalueset",
    "MoneyQuantity",
    "Patient",
    "nobody",
];

/// Changes one random place.
pub fn damage(value: &mut Value, random: &mut Rng, seeds: &[Value]) {
    match random.u8(..16) {
        0 => *place(value, random) = part(random, seeds),
        1 => *place(value, random) = nested(random),
        2 => *place(value, random) = json!(TEXTS[random.usize(..TEXTS.len())].repeat(random.usize(1..3))),
        3 => *place(value, random) = json!("aé 𝄞".repeat(1 << random.u32(..12))),
        4 => *place(value, random) = number(random),
        5 => circle(value, random),
        6 => same_ids(value, random),
        7 => extended(place(value, random), random, 0),
        8 => claim(value, random),
        9 => widen(place(value, random), random),
        10 => swap(value, random),
        11 => rename(place(value, random), random),
        _ => crate::mutate::mutate(value, random, seeds),
    }
}

/// A random place, each level as likely as the last.
fn place<'v>(value: &'v mut Value, random: &mut Rng) -> &'v mut Value {
    let mut at = value;
    for _ in 0..random.usize(..9) {
        let step = match &*at {
            Value::Object(members) if !members.is_empty() => random.usize(..members.len()),
            Value::Array(items) if !items.is_empty() => random.usize(..items.len()),
            _ => break,
        };
        at = match at {
            Value::Object(members) => members.values_mut().nth(step).expect("in range"),
            Value::Array(items) => &mut items[step],
            _ => unreachable!("only these have steps"),
        };
    }
    at
}

/// A part of another resource, of whatever type.
fn part(random: &mut Rng, seeds: &[Value]) -> Value {
    let mut other = seeds[random.usize(..seeds.len())].clone();
    place(&mut other, random).take()
}

/// Deep: lists, objects, extensions within extensions, contained within contained.
fn nested(random: &mut Rng) -> Value {
    let kind = random.u8(..4);
    let mut inner = json!("x");
    for _ in 0..random.usize(1..70) {
        inner = match kind {
            0 => json!([inner]),
            1 => json!({"a": inner}),
            2 => json!({"url": "http://x.test/e", "extension": [inner]}),
            _ => json!({"resourceType": "Patient", "id": "a", "contained": [inner]}),
        };
    }
    inner
}

fn number(random: &mut Rng) -> Value {
    let text = match random.u8(..4) {
        0 => "9".repeat(1 << random.u32(..8)),
        1 => format!("0.{}", "1".repeat(1 << random.u32(..7))),
        _ => NUMBERS[random.usize(..NUMBERS.len())].to_owned(),
    };
    fhir::read_str(&text).unwrap_or_default()
}

/// Contained resources, or entries of a bundle, that refer to each other and to themselves.
fn circle(value: &mut Value, random: &mut Rng) {
    let count = 1 << random.usize(..6);
    let reference = |to: usize| json!({"reference": format!("#c{}", to % count)});
    let contained: Vec<Value> = (0..count)
        .map(|at| {
            json!({"resourceType": "Organization", "id": format!("c{at}"), "partOf": reference(at + 1), "name": "x",
                "meta": {"profile": [format!("http://hl7.org/fhir/StructureDefinition/{}", PROFILES[random.usize(..PROFILES.len())])]}})
        })
        .collect();
    if value.is_object() && random.bool() {
        value["contained"] = json!(contained);
        value["managingOrganization"] = reference(0);
        value["subject"] = json!({"reference": "#"});
    } else {
        let entry = |(at, mut inner): (usize, Value)| {
            inner["partOf"] = json!({"reference": format!("Organization/c{}", (at + 1) % count)});
            json!({"fullUrl": format!("http://x.test/Organization/c{at}"), "resource": inner})
        };
        let entries: Vec<Value> = contained.into_iter().enumerate().map(entry).collect();
        let kind = ["document", "message", "collection", "transaction", "searchset"][random.usize(..5)];
        let own = value.take();
        *value = json!({"resourceType": "Bundle", "type": kind, "entry": entries});
        value["entry"][0]["resource"]["contained"] = json!([own]);
    }
}

/// The same id everywhere.
fn same_ids(value: &mut Value, random: &mut Rng) {
    match value {
        Value::Object(members) => {
            if random.u8(..3) > 0 {
                members.insert("id".to_owned(), json!("same"));
            }
            members.values_mut().for_each(|member| same_ids(member, random));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| same_ids(item, random)),
        _ => {}
    }
}

/// A tree of extensions, some with URLs that are known.
fn extended(value: &mut Value, random: &mut Rng, depth: usize) {
    const URLS: &[&str] = &[
        "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
        "http://hl7.org/fhir/StructureDefinition/patient-nationality",
        "http://hl7.org/fhir/StructureDefinition/translation",
        "http://hl7.org/fhir/StructureDefinition/iso21090-EN-use",
        "http://x.test/e",
        "code",
        "",
    ];
    let Value::Object(members) = value else { return };
    let mut extensions = Vec::new();
    for _ in 0..random.usize(1..4) {
        let mut extension = json!({"url": URLS[random.usize(..URLS.len())]});
        match random.u8(..5) {
            0 => extension["valueString"] = json!("x"),
            1 => extension["valueReference"] = json!({"reference": "#"}),
            2 => {
                extension["valueCodeableConcept"] =
                    json!({"coding": [{"system": "urn:iso:std:iso:3166", "code": "XX"}]})
            }
            3 => extension["_valueCode"] = json!({"extension": []}),
            _ => {}
        }
        if depth < 5 && random.bool() {
            extended(&mut extension, random, depth + 1);
        }
        extensions.push(extension);
    }
    let name = if random.u8(..5) == 0 { "modifierExtension" } else { "extension" };
    members.insert(name.to_owned(), json!(extensions));
}

fn claim(value: &mut Value, random: &mut Rng) {
    let Value::Object(members) = value else { return };
    let profiles: Vec<String> = (0..random.usize(1..5))
        .map(|_| format!("http://hl7.org/fhir/StructureDefinition/{}", PROFILES[random.usize(..PROFILES.len())]))
        .collect();
    members.insert("meta".to_owned(), json!({"profile": profiles}));
}

/// Many of the same.
fn widen(value: &mut Value, random: &mut Rng) {
    let many = 1 << random.usize(..9);
    if let Value::Array(items) = value
        && let Some(first) = items.first().cloned()
        && first.to_string().len() < 400
    {
        *items = vec![first; many];
    }
}

/// Two parts change places.
fn swap(value: &mut Value, random: &mut Rng) {
    let one = place(value, random).take();
    let other = std::mem::replace(place(value, random), one);
    *place(value, random) = other;
}

/// A member under another name.
fn rename(value: &mut Value, random: &mut Rng) {
    const NAMES: &[&str] =
        &["resourceType", "id", "_id", "extension", "value", "valueQuantity", "contained", "text", "", "~/", "entry"];
    let Value::Object(members) = value else { return };
    let Some(key) = members.keys().nth(random.usize(..members.len().max(1))).cloned() else { return };
    let old = members.shift_remove(&key).unwrap_or_default();
    members.insert(NAMES[random.usize(..NAMES.len())].to_owned(), old);
}
