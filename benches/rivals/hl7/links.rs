//! Damage to references, contained resources and bundles.

use fastrand::Rng;
use liaison::fhir::Value;
use serde_json::json;

use super::{
    kinds::{one, pick, set, with},
    spots::Spot,
};

type Done = Option<(Value, String)>;

fn reference<'s>(spots: &'s [Spot], random: &mut Rng) -> Option<&'s Spot> {
    pick(spots, random, |spot| spot.code == "Reference" && !spot.owner.contains("/contained/"))
}

/// Text that is no reference.
pub fn syntax(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = reference(spots, random)?;
    let text = one(&["Patient/a b", "Patient 1", " Patient/1", "", "Patient?identifier", "Patient?a=b=c"], random);
    let part = json!({"reference": text});
    Some((with(base, &spot.pointer(), part), format!("{}/reference", spot.pointer())))
}

/// `#id` without such a contained resource.
pub fn not_contained(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = reference(spots, random)?;
    Some((with(base, &spot.pointer(), json!({"reference": "#nowhere"})), format!("{}/reference", spot.pointer())))
}

/// `Reference.type` that is not the type of what is referred to, or not allowed there.
pub fn stated_type(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = reference(spots, random)?;
    let part = match random.u8(..2) {
        0 => json!({"reference": "Patient/1", "type": "Observation"}),
        _ => json!({"type": "ValueSet", "display": "x"}),
    };
    Some((with(base, &spot.pointer(), part), spot.pointer()))
}

/// A reference whose target is of a type that its element does not allow; few elements refer to code systems.
pub fn other_type(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| spot.code == "Reference" && !spot.owner.contains("xtension"))?;
    let text = one(&["CodeSystem/1", "http://example.org/fhir/CodeSystem/1", "CodeSystem/1/_history/1"], random);
    Some((with(base, &spot.pointer(), json!({"reference": text})), spot.pointer()))
}

fn containing(base: &Value, resource: Value) -> (Value, usize) {
    let mut list = base.get("contained").and_then(Value::as_array).cloned().unwrap_or_default();
    list.push(resource);
    (set(base, "", "contained", json!(list)).0, list.len() - 1)
}

/// A contained resource of a type that the reference does not allow.
pub fn wrong_type(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    // Few elements refer to code systems
    let spot = pick(spots, random, |spot| {
        spot.code == "Reference"
            && spot.owner.matches('/').count() < 3
            && !spot.owner.contains("contained")
            && !spot.owner.contains("extension")
    })?;
    let (made, _) = containing(
        base,
        json!({"resourceType": "CodeSystem", "id": "zz", "status": "draft", "content": "not-present"}),
    );
    Some((with(&made, &spot.pointer(), json!({"reference": "#zz"})), spot.pointer()))
}

/// A contained resource that nobody refers to.
pub fn stray(base: &Value, _: &[Spot], random: &mut Rng) -> Done {
    let resource = [
        json!({"resourceType": "Organization", "id": "zz", "name": "x"}),
        json!({"resourceType": "Patient", "id": "zz", "active": true}),
        json!({"resourceType": "Practitioner", "id": "zz", "active": true}),
    ][random.usize(..3)]
    .clone();
    let (made, at) = containing(base, resource);
    Some((made, format!("/contained/{at}")))
}

/// What contained resources must not have, or must have.
pub fn misused(base: &Value, spots: &[Spot], random: &mut Rng) -> Done {
    let spot = pick(spots, random, |spot| spot.code == "Reference" && spot.owner.is_empty())?;
    let kind = one(&["Patient", "Organization", "Practitioner", "Location"], random);
    let mut resource = json!({"resourceType": kind, "id": "zz"});
    resource[if matches!(kind, "Organization" | "Location") { "name" } else { "active" }] =
        if matches!(kind, "Organization" | "Location") { json!("x") } else { json!(true) };
    match random.u8(..5) {
        0 => resource["contained"] = json!([{"resourceType": "Organization", "id": "yy", "name": "x"}]),
        1 => resource["meta"] = json!({"versionId": "1"}),
        2 => resource["meta"] = json!({"lastUpdated": "2024-01-01T00:00:00Z"}),
        3 => {
            resource["meta"] = json!({"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]})
        }
        _ => drop(resource.as_object_mut()?.shift_remove("id")),
    }
    let (made, at) = containing(base, resource);
    Some((with(&made, &spot.pointer(), json!({"reference": "#zz"})), format!("/contained/{at}")))
}

/// A bundle's full URL missing, doubled, relative, versioned, or not that of the resource.
pub fn full_url(base: &Value, _: &[Spot], random: &mut Rng) -> Done {
    let entries = base.get("entry")?.as_array()?.len();
    let at = random.usize(..entries);
    let place = format!("/entry/{at}");
    let url = base.pointer(&format!("{place}/fullUrl"))?.as_str()?.to_owned();
    let mut made = base.clone();
    let part = match random.u8(..5) {
        0 => {
            made.pointer_mut(&place)?.as_object_mut()?.shift_remove("fullUrl");
            return Some((made, format!("{place}/fullUrl")));
        }
        1 => base.pointer(&format!("/entry/{}/fullUrl", (at + 1) % entries))?.clone(),
        2 => json!(url.rsplit('/').take(2).collect::<Vec<_>>().join("/")),
        3 => json!(format!("{url}/_history/1")),
        _ => json!(format!("{url}9")),
    };
    *made.pointer_mut(&format!("{place}/fullUrl"))? = part;
    Some((made, format!("{place}/fullUrl")))
}

/// A document whose first entry, references or rest do not belong together.
pub fn document(base: &Value, _: &[Spot], random: &mut Rng) -> Done {
    if base["type"] != "document" {
        return None;
    }
    let mut made = base.clone();
    let entries = made["entry"].as_array_mut()?;
    Some(match random.u8(..4) {
        0 => {
            entries.swap(0, 1);
            (made, "/entry/0".to_owned())
        }
        1 => {
            let last = entries.len() - 1;
            entries.remove(last);
            // What referred to it leads nowhere now
            (made, "/entry/0/resource/section/0/entry/0".to_owned())
        }
        2 => {
            entries.push(json!({"fullUrl": "http://example.org/fhir/Group/g", "resource": {"resourceType": "Group", "id": "g", "type": "person", "actual": true}}));
            let at = entries.len() - 1;
            (made, format!("/entry/{at}"))
        }
        _ => {
            made["entry"][0]["resource"]["subject"] = json!({"reference": "Patient/nobody"});
            (made, "/entry/0/resource/subject".to_owned())
        }
    })
}
