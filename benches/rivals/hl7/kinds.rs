//! Kinds of damage to one resource: what is done, and the place where it was done.

use fastrand::Rng;
use liaison::fhir::Value;
use serde_json::json;

use super::spots::Spot;

/// Which resources a kind is done to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// Any.
    All,
    /// Those that claim profiles of US Core, or of vital signs.
    Profiled,
    /// Bundles of our own making.
    Bundles,
}

type Done = Option<(Value, String)>;
type Work = fn(&Value, &[Spot], &mut Rng) -> Done;

/// Name, on what, and how.
pub const KINDS: &[(&str, On, Work)] = &[
    ("required element missing", On::All, missing),
    ("unknown element", On::All, unknown),
    ("list for one value", On::All, list_for_one),
    ("one value for a list", On::All, one_for_list),
    ("JSON type of a primitive", On::All, json_type),
    ("object and primitive exchanged", On::All, exchanged),
    ("two of a choice", On::All, two_of_choice),
    ("type that a choice does not have", On::All, no_such_choice),
    ("empty object, list or text", On::All, empty),
    ("null", On::All, null),
    ("resourceType", On::All, resource_type),
    ("date", On::All, date),
    ("dateTime and instant", On::All, date_time),
    ("number out of range", On::All, number),
    ("code with white space", On::All, code),
    ("id", On::All, id),
    ("uri", On::All, uri),
    ("base64", On::All, base64),
    ("extension of a primitive", On::All, sibling),
    ("required binding of a code", On::All, required_code),
    ("required binding of a concept", On::All, required_concept),
    ("code that FHIR's own system lacks", On::All, own_system),
    ("code that R4's copy of HL7's terminology lacks", On::All, newer),
    ("name of a code system", On::All, system_name),
    ("invariant of a resource", On::All, super::rules::of_resource),
    ("invariant of a data type", On::All, super::rules::of_type),
    ("reference that is none", On::All, super::links::syntax),
    ("reference to what is not contained", On::All, super::links::not_contained),
    ("type stated of a reference", On::All, super::links::stated_type),
    ("contained resource of a wrong type", On::All, super::links::wrong_type),
    ("contained resource that nothing refers to", On::All, super::links::stray),
    ("contained resource: nested, meta, security, id", On::All, super::links::misused),
    ("narrative: what may not stand there", On::All, super::prose::forbidden),
    ("narrative: not well-formed", On::All, super::prose::malformed),
    ("narrative: namespace, root, status", On::All, super::prose::frame),
    ("narrative: entity", On::All, super::prose::entity),
    ("extension without or with too much content", On::All, super::rules::extension_content),
    ("extension: URL", On::All, super::rules::extension_url),
    ("extension where it may not stand", On::All, super::rules::extension_context),
    ("extension with another type of value", On::All, super::rules::extension_value),
    ("profile: element removed", On::Profiled, super::rules::removed),
    ("profile: slice removed, doubled or changed", On::Profiled, super::rules::sliced),
    ("profile: code or pattern changed", On::Profiled, super::rules::pattern),
    ("profile of another type", On::All, super::rules::foreign_profile),
    ("attachment: size and hash", On::All, super::rules::attachment),
    ("bundle: full URL", On::Bundles, super::links::full_url),
    ("bundle: document that does not hold together", On::Bundles, super::links::document),
    ("reference to a type that is not allowed", On::All, super::links::other_type),
    ("unit that UCUM lacks", On::All, unit),
];

/// One of those that fit.
pub fn pick<'s>(spots: &'s [Spot], random: &mut Rng, fits: impl Fn(&Spot) -> bool) -> Option<&'s Spot> {
    let fitting: Vec<&Spot> = spots.iter().filter(|spot| fits(spot)).collect();
    (!fitting.is_empty()).then(|| fitting[random.usize(..fitting.len())])
}

/// One of a list.
pub fn one<'l, T: ?Sized>(list: &[&'l T], random: &mut Rng) -> &'l T {
    list[random.usize(..list.len())]
}

/// The resource with something else at a place.
pub fn with(base: &Value, pointer: &str, part: Value) -> Value {
    let mut made = base.clone();
    if let Some(place) = made.pointer_mut(pointer) {
        *place = part;
    }
    made
}

/// The resource with an object's member set; the member's place.
pub fn set(base: &Value, owner: &str, key: &str, part: Value) -> (Value, String) {
    let mut made = base.clone();
    if let Some(Value::Object(members)) = made.pointer_mut(owner) {
        members.insert(key.to_owned(), part);
    }
    (made, format!("{owner}/{key}"))
}

/// The damaged place where a part of a coding was changed: a coding is judged as a whole, with the concept around it.
pub fn place_of(spot: &Spot) -> String {
    if spot.path.starts_with("Coding.") { spot.owner.clone() } else { spot.pointer() }
}

/// The resource without a member.
pub fn without(base: &Value, owner: &str, key: &str) -> Value {
    let mut made = base.clone();
    if let Some(Value::Object(members)) = made.pointer_mut(owner) {
        members.shift_remove(key);
        members.shift_remove(&format!("_{key}"));
    }
    made
}

fn missing(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| spot.min > 0)?;
    Some((without(base, &spot.owner, &spot.key), spot.member()))
}

fn unknown(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |_| true)?;
    if random.bool() {
        let (made, at) = set(base, &spot.owner, one(&["colour", "_colour", "Status", "nickName"], random), json!("x"));
        return Some((made, at));
    }
    let mut made = base.clone();
    let members = made.pointer_mut(&spot.owner)?.as_object_mut()?;
    let value = members.shift_remove(&spot.key)?;
    let mut key = spot.key.clone();
    key.remove(random.usize(1..key.len()));
    members.insert(key.clone(), value);
    Some((made, format!("{}/{key}", spot.owner)))
}

fn list_for_one(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| spot.index.is_none())?;
    let value = base.pointer(&spot.pointer())?.clone();
    let list = if random.bool() { json!([value]) } else { json!([value, value]) };
    Some((with(base, &spot.pointer(), list), spot.pointer()))
}

fn one_for_list(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| spot.index.is_some())?;
    let value = base.pointer(&spot.pointer())?.clone();
    let mut made = with(base, &spot.member(), value);
    // The extensions of what is now one value stand in no list either
    made.pointer_mut(&spot.owner)?.as_object_mut()?.shift_remove(&format!("_{}", spot.key));
    Some((made, spot.member()))
}

fn json_type(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let primitive =
        |spot: &Spot| base.pointer(&spot.pointer()).is_some_and(|it| !it.is_object()) && spot.code != "xhtml";
    let spot = pick(spots, random, primitive)?;
    let part = match base.pointer(&spot.pointer())? {
        Value::Bool(value) => json!(value.to_string()),
        Value::Number(value) => json!(value.as_str()),
        _ => [json!(5), json!(true), json!(1.5)][random.usize(..3)].clone(),
    };
    Some((with(base, &spot.pointer(), part), spot.pointer()))
}

fn exchanged(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| spot.code != "xhtml")?;
    let part = if base.pointer(&spot.pointer())?.is_object() { json!("x") } else { json!({"value": "x"}) };
    Some((with(base, &spot.pointer(), part), spot.pointer()))
}

/// A value of a type.
fn sample(code: &str) -> Option<Value> {
    Some(match code {
        "boolean" => json!(true),
        "integer" | "positiveInt" | "unsignedInt" => json!(3),
        "decimal" => json!(1.5),
        "string" | "markdown" | "code" | "id" => json!("x"),
        "uri" | "url" | "canonical" => json!("http://example.org/x"),
        "date" | "dateTime" => json!("2024-05-01"),
        "instant" => json!("2024-05-01T10:00:00Z"),
        "time" => json!("10:00:00"),
        "Quantity" | "SimpleQuantity" => json!({"value": 1, "unit": "x"}),
        "Period" => json!({"start": "2024"}),
        "CodeableConcept" => json!({"text": "x"}),
        "Reference" => json!({"display": "x"}),
        "Range" => json!({"low": {"value": 1, "unit": "x"}}),
        _ => return None,
    })
}

fn capital(code: &str) -> String {
    code[..1].to_ascii_uppercase() + &code[1..]
}

fn two_of_choice(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| spot.choice.is_some() && spot.code != "Extension")?;
    let (stem, types) = spot.choice.as_ref()?;
    let others: Vec<&String> = types.iter().filter(|code| **code != spot.code && sample(code).is_some()).collect();
    let other = others.get(random.usize(..others.len().max(1)))?;
    let (made, _) = set(base, &spot.owner, &format!("{stem}{}", capital(other)), sample(other)?);
    Some((made, spot.pointer()))
}

fn no_such_choice(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| spot.choice.is_some())?;
    let (stem, types) = spot.choice.as_ref()?;
    let other = one(&["Boolean", "String", "Quantity", "Period", "Uri", "Range", "Ratio", "Attachment"], random);
    if types.iter().any(|code| capital(code) == other) {
        return None;
    }
    let made = without(base, &spot.owner, &spot.key);
    Some(set(&made, &spot.owner, &format!("{stem}{other}"), json!("x")))
}

fn empty(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| spot.code != "xhtml")?;
    if spot.index.is_some() && random.u8(..3) == 0 {
        return Some((with(base, &spot.member(), json!([])), spot.member()));
    }
    let part = match base.pointer(&spot.pointer())? {
        Value::Object(_) => json!({}),
        Value::String(_) => json!(""),
        _ => return None,
    };
    Some((with(base, &spot.pointer(), part), spot.pointer()))
}

fn null(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |_| true)?;
    let alone = spot.index.is_some() && random.bool();
    let at = if alone { spot.member() } else { spot.pointer() };
    Some((with(base, &at, Value::Null), at))
}

fn resource_type(base: &Value, _: &[Spot], random: &mut Rng) -> Done {
    let mut made = base.clone();
    match random.u8(..4) {
        0 => drop(made.as_object_mut()?.shift_remove("resourceType")),
        1 => made["resourceType"] = json!("Pateint"),
        2 => made["resourceType"] = json!(base["resourceType"].as_str()?.to_lowercase()),
        _ => made["resourceType"] = json!("DomainResource"),
    }
    Some((made, String::new()))
}

fn value_of(base: &Value, spots: &[Spot], random: &mut Rng, codes: &[&str], bad: &[Value]) -> Done {
    let spot = pick(spots, random, |spot| codes.contains(&spot.code.as_str()))?;
    let part = bad[random.usize(..bad.len())].clone();
    Some((with(base, &spot.pointer(), part), spot.pointer()))
}

fn date(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let bad = [
        "2023-02-30",
        "2023-13-01",
        "20230101",
        "01.02.2023",
        "2023-1-1",
        "2023-00-10",
        "yesterday",
        "2023-01-01T10:00:00Z",
        "23-01-01",
    ];
    value_of(base, spots, random, &["date"], &bad.map(|text| json!(text)))
}

fn date_time(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let bad = [
        "2023-02-30T10:00:00Z",
        "2023-05-01T10:00:00",
        "2023-05-01T10:00Z",
        "2023-05-01T25:00:00Z",
        "2023-05-01T10:61:00Z",
        "2023-05-01 10:00:00Z",
        "2023-05-01T10:00:00+15:00",
        "2023-05-01T10:00:00z",
        "2023-05-01T",
        "now",
    ];
    value_of(base, spots, random, &["dateTime", "instant"], &bad.map(|text| json!(text)))
}

fn number(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| matches!(spot.code.as_str(), "positiveInt" | "unsignedInt" | "integer"))?;
    let part = match (spot.code.as_str(), random.u8(..4)) {
        ("positiveInt", 0) => json!(0),
        ("positiveInt" | "unsignedInt", 0 | 1) => json!(-1),
        (_, 2) => json!(2_147_483_648_i64),
        _ => json!(1.5),
    };
    Some((with(base, &spot.pointer(), part), spot.pointer()))
}

fn code(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| spot.code == "code")?;
    let own = base.pointer(&spot.pointer())?.as_str()?.to_owned();
    let part = match random.u8(..4) {
        0 => format!(" {own}"),
        1 => format!("{own} "),
        2 => format!("{own}  {own}"),
        _ => format!("{own}\t"),
    };
    Some((with(base, &spot.pointer(), json!(part)), spot.pointer()))
}

fn id(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let bad = [json!("a_b"), json!("a b"), json!("x".repeat(65)), json!("ä"), json!("a/b"), json!("#a")];
    let part = bad[random.usize(..bad.len())].clone();
    match pick(spots, random, |spot| spot.key == "id" && spot.owner.is_empty()) {
        Some(spot) => Some((with(base, &spot.pointer(), part), spot.pointer())),
        None => Some(set(base, "", "id", part)),
    }
}

fn uri(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let bad = [
        "http://example.org/a b",
        "urn:uuid:123",
        "urn:uuid:C757873D-EC9A-4326-A141-556F43239520",
        "urn:oid:1.02.3",
        "urn:oid:x",
        "urn:oid:9.1",
        "oid:1.2.3.4.5",
        "uuid:c757873d-ec9a-4326-a141-556f43239520",
        " http://example.org",
    ];
    value_of(base, spots, random, &["uri", "url", "canonical"], &bad.map(|text| json!(text)))
}

fn base64(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let bad = ["aGk", "a=k=", "aGk=aGk=", "a*k=", "aGVsbG8-", "=aGk"];
    value_of(base, spots, random, &["base64Binary"], &bad.map(|text| json!(text)))
}

fn sibling(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let primitive = |spot: &Spot| {
        base.pointer(&spot.pointer()).is_some_and(|it| !it.is_object()) && !matches!(spot.code.as_str(), "xhtml" | "id")
    };
    let spot = pick(spots, random, primitive)?;
    let extension = json!({"extension": [{"url": "http://example.org/x", "valueString": "y"}]});
    let key = format!("_{}", spot.key);
    let part = match random.u8(..5) {
        0 => json!({"extension": [{"valueString": "y"}]}),
        1 => json!({"extension": [{"url": "http://example.org/x"}]}),
        2 => json!({"colour": "red"}),
        3 => json!({}),
        _ => json!("x"),
    };
    let part = if spot.index.is_some() { if random.bool() { json!([part]) } else { extension } } else { part };
    let (made, _) = set(base, &spot.owner, &key, part);
    Some((made, spot.member()))
}

fn required_code(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| spot.code == "code" && spot.required)?;
    let own = base.pointer(&spot.pointer())?.as_str()?.to_owned();
    let part = match random.u8(..3) {
        0 => format!("{own}x"),
        1 => own.to_uppercase(),
        _ => "nonsense".to_owned(),
    };
    (part != own).then(|| (with(base, &spot.pointer(), json!(part)), spot.pointer()))
}

fn required_concept(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| matches!(spot.code.as_str(), "CodeableConcept" | "Coding") && spot.required)?;
    let concept = spot.code == "CodeableConcept";
    let coding = match random.u8(..4) {
        0 => json!({"system": "http://example.org/codes", "code": "x"}),
        1 => json!({"code": "nonsense"}),
        2 => {
            let own = base.pointer(&if concept { format!("{}/coding/0", spot.pointer()) } else { spot.pointer() })?;
            json!({"system": own.get("system")?, "code": "nonsense"})
        }
        _ if concept => return Some((with(base, &spot.pointer(), json!({"text": "x"})), spot.pointer())),
        _ => json!({"display": "x"}),
    };
    let part = if concept { json!({"coding": [coding]}) } else { coding };
    Some((with(base, &spot.pointer(), part), spot.pointer()))
}

fn coded(base: &Value, spots: &[Spot], random: &mut Rng, coding: Value) -> Done {
    let spot = pick(spots, random, |spot| {
        spot.code == "CodeableConcept" && !spot.required && !spot.owner.contains("ontained")
    })?;
    Some((with(base, &spot.pointer(), json!({"coding": [coding]})), format!("{}/coding/0", spot.pointer())))
}

fn unit(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| {
        let system = base.pointer(&format!("{}/system", spot.owner)).and_then(Value::as_str);
        spot.key == "code" && system == Some("http://unitsofmeasure.org")
    })?;
    let part = one(&["ea", "mcg", "nonsense", "tab", "mm Hg", "years"], random);
    Some((with(base, &spot.pointer(), json!(part)), spot.pointer()))
}

fn own_system(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let system =
        one(&["administrative-gender", "observation-status", "contact-point-use", "name-use", "address-type"], random);
    let code = one(&["nonsense", "FEMALE", "home "], random);
    coded(base, spots, random, json!({"system": format!("http://hl7.org/fhir/{system}"), "code": code.trim()}))
        .filter(|_| !(system == "contact-point-use" && code == "home "))
}

fn newer(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let system = one(
        &["observation-category", "v3-ActCode", "v2-0203", "diagnosis-role", "appointment-cancellation-reason"],
        random,
    );
    coded(
        base,
        spots,
        random,
        json!({"system": format!("http://terminology.hl7.org/CodeSystem/{system}"), "code": "zz-new"}),
    )
}

fn system_name(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let system = one(
        &[
            "LOINC",
            "loinc.org",
            "https://loinc.org",
            "http://loinc.org/x",
            "http://snomed.info/sctx",
            "http://hl7.org/fhir/ValueSet/observation-codes",
            "http://hl7.org/fhir/no-such-system",
        ],
        random,
    );
    let spot = pick(spots, random, |spot| spot.code == "CodeableConcept" && !spot.required)?;
    let part = json!({"coding": [{"system": system, "code": "1234-5"}]});
    Some((with(base, &spot.pointer(), part), format!("{}/coding/0", spot.pointer())))
}
