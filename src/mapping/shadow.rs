//! Trying a new mapping before it is used: a shadow run shows what a candidate would do otherwise on recorded objects
//! and resources.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Context, Mappings};
use crate::fhir::canonically_equal;

/// What was recorded: an object that was sent, or the resources that came.
#[derive(Clone, Debug)]
pub enum Recorded {
    /// Kind, dialect, internal object.
    Sent(String, String, Value),
    /// Kind, dialect, resources.
    Received(String, String, Vec<Value>),
}

/// What a candidate does otherwise, by kind, direction and field or element (without indexes): how often.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Shadow {
    /// Records that were tried.
    pub tried: usize,
    /// Records that came out otherwise.
    pub changed: usize,
    /// `appointment to_fhir Appointment.status` → how many records.
    pub differences: BTreeMap<String, usize>,
}

/// Runs both mappings on every record. Values are never kept, so that the result holds no patient data.
pub fn shadow(
    now: &Mappings,
    candidate: &Mappings,
    records: impl IntoIterator<Item = Recorded>,
    context: &Context,
) -> Shadow {
    let mut shadow = Shadow::default();
    for record in records {
        let (prefix, before, after) = match &record {
            Recorded::Sent(object, dialect, internal) => {
                let run = |mappings: &Mappings| match mappings.plan(object, dialect) {
                    None => Value::String("no such object".to_owned()),
                    Some(plan) => match plan.to_fhir(internal, context) {
                        Ok(parts) => parts.into_iter().map(|part| part.resource).collect(),
                        Err(_) => Value::String("cannot be sent".to_owned()),
                    },
                };
                (format!("{object} to_fhir"), run(now), run(candidate))
            }
            Recorded::Received(object, dialect, resources) => {
                let run = |mappings: &Mappings| match mappings.plan(object, dialect) {
                    None => Value::String("no such object".to_owned()),
                    Some(plan) => plan.to_internal(resources, context),
                };
                (format!("{object} to_internal"), run(now), run(candidate))
            }
        };
        shadow.tried += 1;
        let mut places = std::collections::BTreeSet::new();
        differ("", &before, &after, &mut places);
        shadow.changed += usize::from(!places.is_empty());
        for place in places {
            *shadow.differences.entry(format!("{prefix} {}", place.trim_start_matches('.'))).or_default() += 1;
        }
    }
    shadow
}

fn differ(at: &str, a: &Value, b: &Value, found: &mut std::collections::BTreeSet<String>) {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let at =
                x.get("resourceType").and_then(Value::as_str).map_or_else(|| at.to_owned(), |kind| format!(".{kind}"));
            for name in x.keys().chain(y.keys().filter(|name| !x.contains_key(*name))) {
                let of = |side: &serde_json::Map<String, Value>| side.get(name).cloned().unwrap_or_default();
                differ(&format!("{at}.{name}"), &of(x), &of(y), found);
            }
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).for_each(|(x, y)| differ(at, x, y, found));
        }
        _ if canonically_equal(a, b) => {}
        _ => {
            found.insert(at.to_owned());
        }
    }
}
