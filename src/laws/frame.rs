//! Frame: what changed between two resources, and whether a rule names it. Independent of how mappings run: it looks at
//! the two resources and the paths of the rules only.

use std::{borrow::Cow, collections::BTreeSet};

use serde_json::Value;

use crate::{fhir::canonically_equal, mapping::RulePath};

/// The paths of one part's rules.
pub(super) struct Frame {
    /// Elements that belong to a rule with all that is in them.
    whole: BTreeSet<String>,
    /// Elements that come and go as a whole, but have rules of their own inside.
    nested: BTreeSet<String>,
}

impl Frame {
    pub(super) fn new(paths: &[RulePath], part: usize) -> Self {
        let of = |nested: bool| {
            paths
                .iter()
                .filter(|path| path.part == part && path.nested == nested)
                .map(|path| path.path.clone())
                .collect()
        };
        Self { whole: of(false), nested: of(true) }
    }

    /// The first place that changed though no rule names it.
    pub(super) fn breach(&self, before: &Value, after: &Value) -> Option<String> {
        self.compare("", "", before, &with_what_went(before, after))
    }

    fn named(&self, path: &str) -> bool {
        let mut prefix = path;
        loop {
            if self.whole.contains(prefix) {
                return true;
            }
            match prefix.rsplit_once('.') {
                Some((shorter, _)) => prefix = shorter,
                None => return false,
            }
        }
    }

    /// Whether some rule looks at this element or into it.
    fn visited(&self, path: &str) -> bool {
        let inside = |own: &String| own == path || own.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        self.whole.iter().chain(&self.nested).any(inside)
    }

    fn compare(&self, path: &str, pointer: &str, before: &Value, after: &Value) -> Option<String> {
        if self.named(path) || path == "text" || canonically_equal(before, after) {
            return None;
        }
        match (before, after) {
            (Value::Object(a), Value::Object(b)) => {
                let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                names.into_iter().find_map(|name| {
                    let element = name.strip_prefix('_').unwrap_or(name);
                    let path = if path.is_empty() { element.to_owned() } else { format!("{path}.{element}") };
                    let pointer = format!("{pointer}/{name}");
                    match (a.get(name), b.get(name)) {
                        (Some(a), Some(b)) => self.compare(&path, &pointer, a, b),
                        (Some(gone), None) | (None, Some(gone)) => self.alone(&path, &pointer, gone),
                        (None, None) => None,
                    }
                })
            }
            (Value::Array(a), Value::Array(b)) if self.visited(path) => {
                let id = |item: &Value| item.get("id").and_then(Value::as_str).map(str::to_owned);
                a.iter().enumerate().find_map(|(at, item)| {
                    let own = id(item)?;
                    let twin = b.iter().find(|other| id(other).as_ref() == Some(&own))?;
                    self.compare(path, &format!("{pointer}/{at}"), item, twin)
                })
            }
            _ => Some(pointer.to_owned()),
        }
    }

    /// An element that came or went as a whole: allowed if all of it belongs to rules.
    fn alone(&self, path: &str, pointer: &str, value: &Value) -> Option<String> {
        if self.named(path) || self.nested.contains(path) || path == "text" {
            return None;
        }
        match value {
            Value::Object(members) => members.iter().find_map(|(name, inner)| {
                let element = name.strip_prefix('_').unwrap_or(name);
                self.alone(&format!("{path}.{element}"), &format!("{pointer}/{name}"), inner)
            }),
            // Items of a list that a rule looks into come and go with their fields.
            Value::Array(_) if self.visited(path) => None,
            _ => Some(pointer.to_owned()),
        }
    }
}

/// `after` with the contained resources put back that `before` points to and it does not: they go with the last reference.
fn with_what_went<'v>(before: &Value, after: &'v Value) -> Cow<'v, Value> {
    let (Some(Value::Array(was)), Some(members)) = (before.get("contained"), after.as_object()) else {
        return Cow::Borrowed(after);
    };
    let is = members.get("contained").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if is.len() >= was.len() {
        return Cow::Borrowed(after);
    }
    let (was_said, is_said) = (before.to_string(), after.to_string());
    let went = |own: &str| {
        let pointed = format!("\"#{own}\"");
        was_said.contains(&pointed) && !is_said.contains(&pointed)
    };
    let id = |resource: &Value| resource.get("id").and_then(Value::as_str).map(str::to_owned);
    let kept = was.iter().filter_map(|resource| match id(resource) {
        Some(own) => match is.iter().find(|other| id(other).as_deref() == Some(own.as_str())) {
            Some(there) => Some(there.clone()),
            None => went(&own).then(|| resource.clone()),
        },
        None => Some(resource.clone()),
    });
    let mut members = members.clone();
    members.insert("contained".to_owned(), kept.collect());
    Cow::Owned(Value::Object(members))
}
