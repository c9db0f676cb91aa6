//! What was settled as different: for each field the values of both sides, as hashes, at the time when somebody (or a rule)
//! said that they may differ. A side whose hash still is has not changed; so the same pair is never asked nor sent again.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    field::FieldRule,
    form::{bytes, sum},
};

/// By the field's pointer, as [`super::Field::path`] says it.
pub type Settled = BTreeMap<String, SettledPair>;

/// What both sides were. Holds no values, only hashes of their form.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SettledPair {
    /// The hash of our value; none: absent.
    pub ours: Option<String>,
    /// The hash of theirs.
    pub theirs: Option<String>,
    /// The hash of what both started from: of several items alike, the one that is no other's past.
    pub base: Option<String>,
}

/// Says that a field's two values may differ.
#[must_use]
pub fn settle(rules: &FieldRule, path: &str, ours: Option<&Value>, theirs: Option<&Value>) -> SettledPair {
    let rule = rules.at(path);
    SettledPair { ours: hash(ours, rule), theirs: hash(theirs, rule), base: None }
}

pub(super) fn hash(value: Option<&Value>, rule: &FieldRule) -> Option<String> {
    value.and_then(|value| bytes(value, rule)).map(|form| sum(&form))
}
