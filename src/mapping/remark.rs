//! What a caller should know of an object that is good all the same: times whose offset is not the one that their zone has
//! at that moment. Such a time is kept as it is and its offset decides; a person may have meant the other.

use serde_json::Value;

use crate::{domain::Time, error::Finding};

/// Everything worth a remark, by place; empty: nothing.
#[must_use]
pub fn remarks(internal: &Value) -> Vec<Finding> {
    let mut found = Vec::new();
    walk(internal, "", &mut found);
    found
}

fn walk(value: &Value, pointer: &str, found: &mut Vec<Finding>) {
    match value {
        // Only a time that names its zone can contradict it.
        Value::String(text) if text.ends_with(']') && Time::parse(text).is_ok_and(|time| time.disagrees()) => {
            let detail = "The offset of this time is not the one that its zone has at that moment; the offset decides.";
            let remedy = "Check the hour; leave the offset out, or correct it, if the local time is meant.";
            found.push(Finding {
                pointer: pointer.to_owned(),
                code: "LIA-TIME-005".to_owned(),
                detail: detail.to_owned(),
                remedy: remedy.to_owned(),
            });
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| walk(item, &format!("{pointer}/{at}"), found));
        }
        Value::Object(members) => {
            members.iter().for_each(|(name, inner)| walk(inner, &format!("{pointer}/{name}"), found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_contradiction_is_told_with_its_place() {
        let object = json!({
            "start": "2026-07-01T09:30:00+00:00[Europe/London]",
            "end": "2026-07-01T10:00:00+01:00[Europe/London]",
            "made_on": "2026-07-01", "note": "see [Europe/London]",
            "participants": [{ "time": { "from": "2026-12-01T09:30:00+01:00[Europe/London]" } }]
        });
        let places: Vec<String> = remarks(&object).into_iter().map(|finding| finding.pointer).collect();
        assert_eq!(places, ["/start", "/participants/0/time/from"]);
    }
}
