//! Whether both sides hold the same: each object that is said to be synced, against the EHR's own record of it, read by the mapping
//! alone (nothing of the gateway's sync is asked).

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use liaison::{
    fhir::canonically_equal,
    mapping::{Context, Mappings},
};
use serde_json::{Value, json};

use super::{INSTANCE, Name, TYPES, ehrs::Peer};
use crate::{
    foreign_ehr::DAY,
    support::{client, send},
};

fn mappings() -> &'static Mappings {
    static MAPPINGS: OnceLock<Arc<Mappings>> = OnceLock::new();
    MAPPINGS.get_or_init(|| Mappings::embedded().expect("mappings"))
}

/// What differs, by object. Letters are left out: what they say lies in further parts.
pub async fn differences(peer: &Peer, gateway: &str, rows: &[Value]) -> Vec<(Name, String)> {
    let mut records = BTreeMap::new();
    for kind in TYPES {
        for resource in peer.all(kind).await {
            let id = resource["id"].as_str().unwrap_or_default().to_owned();
            records.insert(format!("{kind}/{id}"), resource);
        }
    }
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let name = |row: &Value| (text(row, "object"), text(row, "object_id"));
    let known: BTreeMap<String, Name> =
        rows.iter().filter_map(|row| Some((row["remote"][0].as_str()?.to_owned(), name(row)))).collect();
    let mut differ = Vec::new();
    for row in rows.iter().filter(|row| row["state"] == "synced" && row["object"] != "letter") {
        let (name, reference) = (name(row), row["remote"][0].as_str().unwrap_or_default());
        let Some(record) = records.get(reference) else {
            differ.push((name, format!("{reference} is not there")));
            continue;
        };
        let plural = DAY.iter().find(|(object, _)| *object == name.0).map_or("", |(_, plural)| plural);
        let url = format!("{gateway}/api/v1/{plural}/{}", name.1);
        let held = send(&client(), "GET", &url, &[], &Value::Null).await.expect("an answer").body;
        if let Some(what) = difference(&name, held, record.clone(), &known) {
            differ.push((name, what));
        }
    }
    differ
}

fn difference(name: &Name, mut ours: Value, mut record: Value, known: &BTreeMap<String, Name>) -> Option<String> {
    let plan = mappings().plan(&name.0, "generic").expect("a plan");
    let context = Context::new(INSTANCE).in_zone("Europe/London");
    named(&mut record, known);
    let theirs = plan.to_internal(std::slice::from_ref(&record), &context);
    for own in ["id", "version"] {
        ours.as_object_mut().expect("an object").shift_remove(own);
    }
    let mut ours = plan.normalise(&ours, &context);
    let mut theirs = plan.normalise(&theirs, &context);
    for side in [&mut ours, &mut theirs] {
        let members = side.as_object_mut().expect("an object");
        for own in ["id", "version"] {
            members.shift_remove(own);
        }
        // Our own identifier is not part of the object.
        let identifiers = members.get_mut("identifiers").and_then(Value::as_array_mut);
        let is_empty = identifiers.is_some_and(|list| {
            list.retain(|item| !item["system"].as_str().is_some_and(|system| system.starts_with("urn:liaison:")));
            list.is_empty()
        });
        if is_empty {
            members.shift_remove("identifiers");
        }
    }
    (!canonically_equal(&ours, &theirs)).then(|| format!("\n  ours   {ours}\n  theirs {theirs}"))
}

/// References to what we know, as the mapping knows them.
fn named(value: &mut Value, known: &BTreeMap<String, Name>) {
    let target = value["reference"].as_str().and_then(|reference| known.get(reference)).cloned();
    if let Some((object, id)) = target {
        value["identifier"] = json!({"system": format!("urn:liaison:{INSTANCE}:{object}"), "value": id});
        if let Some(members) = value.as_object_mut() {
            members.shift_remove("reference");
        }
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| named(item, known)),
        Value::Object(members) => members.values_mut().for_each(|member| named(member, known)),
        _ => {}
    }
}

#[test]
fn a_value_that_differs_is_told_and_a_reference_that_only_looks_otherwise_is_not() {
    let name = ("appointment".to_owned(), "a".to_owned());
    let known = BTreeMap::from([("Patient/7".to_owned(), ("patient".to_owned(), "p".to_owned()))]);
    let ours = json!({"id": "a", "version": 3, "status": "booked", "description": "Check-up",
        "participants": [{"who": {"object": "patient", "id": "p"}, "reply": "accepted"}]});
    let mut theirs = json!({"resourceType": "Appointment", "id": "9", "status": "booked", "description": "Check-up",
        "identifier": [{"system": format!("urn:liaison:{INSTANCE}:appointment"), "value": "a"}],
        "participant": [{"actor": {"reference": "Patient/7"}, "status": "accepted"}]});
    assert_eq!(difference(&name, ours.clone(), theirs.clone(), &known), None);
    theirs["description"] = json!("Another");
    assert!(difference(&name, ours.clone(), theirs.clone(), &known).is_some());
    theirs["description"] = json!("Check-up");
    theirs["participant"][0]["actor"]["reference"] = json!("Patient/8");
    assert!(difference(&name, ours, theirs, &known).is_some(), "another patient");
}
