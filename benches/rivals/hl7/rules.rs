//! Damage to what definitions rule: invariants, extensions, profiles, attachments.

use fastrand::Rng;
use liaison::fhir::Value;
use serde_json::json;

use super::{
    kinds::{one, pick, place_of, set, with, without},
    spots::Spot,
};

type Done = Option<(Value, String)>;

/// Types, the member whose change breaks an invariant of theirs, what is put there (null: removed), and the place.
const BREACHES: &[(&str, &str, &str)] = &[
    ("Appointment", "end", "null"),
    ("Appointment", "participant", r#"[{"status":"accepted"}]"#),
    ("Appointment", "cancelationReason", r#"{"text":"x"}"#),
    ("AppointmentResponse", "actor", "null"),
    ("Patient", "contact", r#"[{"gender":"male"}]"#),
    ("Organization", "telecom", r#"[{"system":"phone","value":"1","use":"home"}]"#),
    ("Organization", "address", r#"[{"city":"x","use":"home"}]"#),
    ("ServiceRequest", "orderDetail", r#"[{"text":"x"}]"#),
    ("Task", "lastModified", r#""1999-01-01""#),
    ("Condition", "stage", r#"[{"type":{"text":"x"}}]"#),
    ("Condition", "evidence", r#"[{"id":"x","extension":[{"url":"http://example.org/e","valueString":"x"}]}]"#),
    ("Condition", "abatementString", r#""x""#),
    ("AllergyIntolerance", "clinicalStatus", "null"),
    ("Observation", "referenceRange", r#"[{"type":{"text":"x"}}]"#),
    ("Observation", "dataAbsentReason", r#"{"text":"x"}"#),
    ("Immunization", "education", r#"[{"publicationDate":"2020"}]"#),
    ("Consent", "policyRule", "null"),
    ("DiagnosticReport", "media", r#"[{"comment":"x"}]"#),
    ("Encounter", "length", r#"{"value":1,"code":"kg","system":"http://unitsofmeasure.org"}"#),
    ("Coverage", "period", r#"{"start":"2021","end":"2020"}"#),
    ("MedicationRequest", "dosageInstruction", r#"[{"timing":{"repeat":{"duration":1}}}]"#),
    ("MedicationRequest", "dosageInstruction", r#"[{"timing":{"repeat":{"period":-1,"periodUnit":"d"}}}]"#),
    ("MedicationStatement", "dosage", r#"[{"timing":{"repeat":{"countMax":1}}}]"#),
    ("MedicationStatement", "dosage", r#"[{"timing":{"repeat":{"timeOfDay":["10:00:00"],"when":["MORN"]}}}]"#),
    ("Schedule", "planningHorizon", r#"{"start":"2021","end":"2020"}"#),
    ("Invoice", "totalNet", r#"{"value":1,"currency":"nonsense"}"#),
];

/// An invariant that a resource's own type states.
pub fn of_resource(base: &Value, _: &[Spot], random: &mut Rng) -> Done {
    let kind = base["resourceType"].as_str()?;
    let own: Vec<_> = BREACHES.iter().filter(|breach| breach.0 == kind).collect();
    let (_, member, part) = own.get(random.usize(..own.len().max(1)))?;
    let part: Value = serde_json::from_str(part).ok()?;
    if part.is_null() {
        base.get(*member)?;
        return Some((without(base, "", member), format!("/{member}")));
    }
    let deep = if part.pointer("/0/timing/repeat").is_some() { "/0/timing/repeat" } else { "" };
    let (made, at) = set(base, "", member, part);
    Some((made, format!("{at}{deep}")))
}

/// An invariant of a data type.
pub fn of_type(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| {
        matches!(
            spot.code.as_str(),
            "Period" | "Quantity" | "ContactPoint" | "Attachment" | "Range" | "Ratio" | "Timing" | "Age" | "Duration"
        )
    })?;
    let part = match spot.code.as_str() {
        "Period" => json!({"start": "2024-05-02", "end": "2024-05-01"}),
        "Quantity" => json!({"value": 1, "code": "kg"}),
        "ContactPoint" => json!({"value": "555"}),
        "Attachment" => json!({"data": "aGk="}),
        "Range" => json!({"low": {"value": 2}, "high": {"value": 1}}),
        "Ratio" => json!({"numerator": {"value": 1}}),
        "Timing" => json!({"repeat": {"period": 1}}),
        _ => json!({"value": 1, "code": "kg", "system": "http://unitsofmeasure.org"}),
    };
    Some((with(base, &spot.pointer(), part), spot.pointer()))
}

/// An extension on some object; the object's place and the extension's.
fn extended(base: &Value, spots: &[Spot], random: &mut Rng, extension: Value) -> Done {
    let object = |spot: &Spot| {
        base.pointer(&spot.pointer())
            .is_some_and(|it| it.is_object() && it.get("extension").is_none() && it.get("resourceType").is_none())
            && spot.code != "Extension"
    };
    let owner = match random.bool() || base.get("extension").is_some() {
        true => pick(spots, random, object)?.pointer(),
        false => String::new(),
    };
    let (made, at) = set(base, &owner, "extension", json!([extension]));
    Some((made, format!("{at}/0")))
}

/// `ext-1`.
pub fn extension_content(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let inner = json!([{"url": "a", "valueString": "x"}]);
    let extension = match random.u8(..3) {
        0 => json!({"url": "http://example.org/x"}),
        1 => json!({"url": "http://example.org/x", "valueString": "x", "extension": inner}),
        _ => json!({"url": "http://example.org/x", "extension": [{"url": "a"}]}),
    };
    extended(base, spots, random, extension)
}

/// No URL, or one that is not absolute.
pub fn extension_url(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let extension = match random.u8(..4) {
        0 => json!({"valueString": "x"}),
        1 => json!({"url": "", "valueString": "x"}),
        2 => json!({"url": "patient-birthPlace", "valueString": "x"}),
        _ => json!({"url": "http://example.org/a b", "valueString": "x"}),
    };
    extended(base, spots, random, extension)
}

const STRUCTURE: &str = "http://hl7.org/fhir/StructureDefinition/";

/// Extensions of R4 where their definition does not have them.
pub fn extension_context(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let kind = base["resourceType"].as_str()?;
    let (name, member, value, home) = [
        ("patient-birthPlace", "valueAddress", json!({"city": "x"}), "Patient"),
        (
            "patient-nationality",
            "extension",
            json!([{"url": "code", "valueCodeableConcept": {"text": "x"}}]),
            "Patient",
        ),
        ("patient-religion", "valueCodeableConcept", json!({"text": "x"}), "Patient"),
        ("humanname-own-name", "valueString", json!("x"), "HumanName"),
        ("observation-bodyPosition", "valueCodeableConcept", json!({"text": "x"}), "Observation"),
        ("encounter-reasonCancelled", "valueCodeableConcept", json!({"text": "x"}), "Encounter"),
        (
            "location-boundary-geojson",
            "valueAttachment",
            json!({"contentType": "text/plain", "data": "aGk="}),
            "Location",
        ),
        ("iso21090-ADXP-houseNumber", "valueString", json!("1"), "Address"),
    ][random.usize(..8)]
    .clone();
    if kind == home {
        return None;
    }
    let mut extension = json!({"url": format!("{STRUCTURE}{name}")});
    extension[member] = value;
    if base.get("extension").is_some() {
        return extended(base, spots, random, extension);
    }
    let (made, at) = set(base, "", "extension", json!([extension]));
    Some((made, format!("{at}/0")))
}

/// Extensions of R4 with a value of another type than their definition's.
pub fn extension_value(base: &Value, _: &[Spot], random: &mut Rng) -> Done {
    let kind = base["resourceType"].as_str()?;
    let (of, name) = *[
        ("Patient", "patient-birthPlace"),
        ("Patient", "patient-religion"),
        ("Patient", "patient-mothersMaidenName"),
        ("Observation", "observation-bodyPosition"),
        ("Observation", "observation-gatewayDevice"),
        ("Encounter", "encounter-reasonCancelled"),
        ("Condition", "condition-assertedDate"),
        ("Location", "location-boundary-geojson"),
        ("ServiceRequest", "servicerequest-precondition"),
        ("Procedure", "procedure-targetBodyStructure"),
        ("AllergyIntolerance", "allergyintolerance-certainty"),
        ("Organization", "organization-period"),
        ("Consent", "consent-Transcriber"),
        ("Task", "task-candidateList"),
        ("Communication", "communication-media"),
        ("DiagnosticReport", "diagnosticReport-risk"),
    ]
    .iter()
    .filter(|known| known.0 == kind)
    .collect::<Vec<_>>()
    .get(random.usize(..4))?;
    let _ = of;
    let mut extension = json!({"url": format!("{STRUCTURE}{name}")});
    let value = one(&["valueBoolean", "valueInteger"], random);
    extension[value] = if value == "valueBoolean" { json!(true) } else { json!(3) };
    let mut list = base.get("extension").and_then(Value::as_array).cloned().unwrap_or_default();
    list.push(extension);
    let (made, at) = set(base, "", "extension", json!(list));
    Some((made, format!("{at}/{}", list.len() - 1)))
}

/// Anything that a profiled resource holds, removed.
pub fn removed(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| {
        !spot.owner.contains("/text") && spot.key != "meta" && !spot.owner.starts_with("/meta")
    })?;
    let at = if spot.path.starts_with("Coding.") { place_of(spot) } else { spot.member() };
    Some((without(base, &spot.owner, &spot.key), at))
}

/// Lists that profiles slice.
const SLICED: &[&str] = &["component", "category", "extension", "coding", "identifier", "telecom", "context", "type"];

/// An item of a sliced list removed, doubled, or given another code.
pub fn sliced(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| spot.index.is_some() && SLICED.contains(&spot.key.as_str()))?;
    let mut list = base.pointer(&spot.member())?.as_array()?.clone();
    let index = spot.index?;
    let at = match random.u8(..2) {
        0 if list.len() > 1 => {
            list.remove(index);
            spot.member()
        }
        0 => return Some((without(base, &spot.owner, &spot.key), spot.member())),
        _ => {
            list.insert(index, list[index].clone());
            format!("{}/{}", spot.member(), index + 1)
        }
    };
    Some((with(base, &spot.member(), json!(list)), at))
}

/// A code or a system by which slices are told, or that a pattern fixes.
pub fn pattern(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| {
        matches!(
            spot.path.as_str(),
            "Coding.code" | "Coding.system" | "Quantity.code" | "Quantity.system" | "Extension.url"
        ) && !spot.owner.starts_with("/meta")
    })?;
    let part = match spot.path.as_str() {
        "Coding.code" => json!("zz-other"),
        "Quantity.code" => json!("kg"),
        _ => json!("http://example.org/other"),
    };
    Some((with(base, &spot.pointer(), part), place_of(spot)))
}

/// The claim of a profile on another type.
pub fn foreign_profile(base: &Value, _: &[Spot], random: &mut Rng) -> Done {
    let kind = base["resourceType"].as_str()?;
    let (name, of) = [
        ("bp", "Observation"),
        ("lipidprofile", "DiagnosticReport"),
        ("Patient", "Patient"),
        ("shareablevalueset", "ValueSet"),
    ][random.usize(..4)];
    if kind == of {
        return None;
    }
    Some(set(base, "", "meta", json!({"profile": [format!("{STRUCTURE}{name}")]})))
}

/// A size or hash that is not that of the data.
pub fn attachment(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| spot.code == "Attachment")?;
    let part = match random.u8(..3) {
        0 => json!({"contentType": "text/plain", "data": "aGVsbG8=", "size": 6}),
        1 => json!({"contentType": "text/plain", "data": "aGVsbG8=", "hash": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}),
        _ => json!({"contentType": "text/plain", "data": "aGVsbG8=", "size": "5"}),
    };
    Some((with(base, &spot.pointer(), part), spot.pointer()))
}
