//! Whether a record is still in use (`standing:` in a mapping): it may have been switched off, or replaced by another one
//! since both were about the same person or thing. What to do about it is the sync's.

use super::ObjectType;
use crate::fhir::{Value, canonically_equal, inner};

/// How a record stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// In use.
    Live,
    /// Not in use any more, and nobody says what is in its place.
    Inactive,
    /// Another record is in its place: this reference (an internal one, for instance `{"object", "id"}`).
    ReplacedBy(Value),
}

/// How an object type tells it.
#[derive(Debug, Default)]
pub(crate) struct StandingRules {
    pub(crate) replaced: Option<Replaced>,
    /// Field and the values that mean that it is not in use.
    pub(crate) inactive: Option<(Vec<String>, Vec<Value>)>,
}

/// The list of links of which one says what is in its place.
#[derive(Debug)]
pub(crate) struct Replaced {
    pub(crate) field: Vec<String>,
    /// What such a link says.
    pub(crate) link: Vec<(String, Value)>,
    /// Its field that names the other record.
    pub(crate) record: String,
}

impl ObjectType {
    /// Whether a record of this kind can say that another one is in its place.
    #[must_use]
    pub fn can_be_replaced(&self) -> bool {
        self.standing.replaced.is_some()
    }

    /// How a record stands by what it says; what says nothing of it is in use. A replacement that is not named leaves it
    /// [`Standing::Inactive`].
    #[must_use]
    pub fn standing(&self, internal: &Value) -> Standing {
        let rules = &self.standing;
        if let Some(replaced) = &rules.replaced {
            let says = |link: &Value| {
                replaced
                    .link
                    .iter()
                    .all(|(name, value)| inner(link, name).is_some_and(|own| canonically_equal(own, value)))
            };
            let links = at(internal, &replaced.field).and_then(Value::as_array).into_iter().flatten();
            let found: Vec<Option<&Value>> =
                links.filter(|link| says(link)).map(|link| inner(link, &replaced.record)).collect();
            if let Some(record) = found.iter().flatten().next() {
                return Standing::ReplacedBy((*record).clone());
            }
            if !found.is_empty() {
                return Standing::Inactive;
            }
        }
        let is = |(field, values): &(Vec<String>, Vec<Value>)| {
            at(internal, field).is_some_and(|own| values.iter().any(|value| canonically_equal(own, value)))
        };
        if rules.inactive.as_ref().is_some_and(is) { Standing::Inactive } else { Standing::Live }
    }
}

fn at<'v>(internal: &'v Value, field: &[String]) -> Option<&'v Value> {
    field.iter().try_fold(internal, |at, name| inner(at, name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mapping::Mappings;

    #[test]
    fn records_that_are_not_in_use_any_more() {
        let mappings = Mappings::embedded().unwrap();
        let standing = |object: &str, internal: Value| mappings.object(object).unwrap().standing(&internal);
        let other = json!({ "object": "patient", "id": "p2" });
        let merged = json!({ "active": false, "links": [
            { "kind": "see also", "record": { "object": "patient", "id": "p3" } },
            { "kind": "replaced by", "record": other }] });
        assert_eq!(standing("patient", merged), Standing::ReplacedBy(other));
        assert_eq!(standing("patient", json!({ "links": [{ "kind": "replaced by" }] })), Standing::Inactive);
        assert_eq!(standing("patient", json!({ "links": [{ "kind": "replaces", "record": {} }] })), Standing::Live);
        assert_eq!(standing("patient", json!({ "active": true, "dead": true })), Standing::Live);
        for object in ["patient", "practitioner", "practitioner-role", "organization", "clinic-session"] {
            assert_eq!(standing(object, json!({ "active": false })), Standing::Inactive, "{object}");
            assert_eq!(standing(object, json!({})), Standing::Live, "{object}");
        }
        assert_eq!(standing("location", json!({ "status": "closed" })), Standing::Inactive);
        assert_eq!(standing("location", json!({ "status": "suspended" })), Standing::Live);
        assert_eq!(standing("letter", json!({ "active": false })), Standing::Live);
    }
}
