//! Places within a resource: that ids of elements are unique, and that what points at one (`#id` in a URI, a link or an
//! image of a narrative) finds it. References to contained resources: `reference`.
//! <https://hl7.org/fhir/R4/element.html#id>

use std::collections::HashSet;

use serde_json::Value;

use super::{place::Place, report::Issue, say::Say, types::Node, walk::Walk};
use crate::fhir::{inner, outcome::Severity, xhtml};

/// Something that points at a place of its own resource.
pub struct Anchor<'a> {
    id: &'a str,
    rule: &'static str,
    severity: Severity,
    expression: String,
    pointer: String,
}

impl<'a> Anchor<'a> {
    /// `#id`, met at `place`; `severity` if it leads nowhere. What published examples have broken is no error: a canonical
    /// (PlanDefinition example-cardiology-os), a link in a bundle's narrative (US Core).
    pub fn new(id: &'a str, rule: &'static str, severity: Severity, place: &Place<'_>) -> Self {
        Self { id, rule, severity, expression: place.expression(), pointer: place.pointer() }
    }
}

impl<'a> Walk<'a> {
    /// An element's id must be its own within the resource. Elements of a definition's snapshot repeat those of its
    /// differential, and have rules of their own.
    pub fn element_id(&mut self, node: &Node, value: Option<&'a Value>, place: &Place<'_>) {
        let Some(Value::String(id)) = value else { return };
        if &*node.declared != "ElementDefinition" && !self.ids.insert(id) {
            let text = "another element of the resource has the same id";
            self.raise(&place.plain("id", None), None, Say::error("business-rule", "duplicate-id", text));
        }
    }

    /// Whether all that points at places of this resource finds them, there or elsewhere in the bundle.
    pub fn anchored(&mut self, resource: &'a Value) {
        if self.anchors.is_empty() {
            return;
        }
        let mut known = HashSet::new();
        places(resource, &mut known);
        let missing: Vec<Anchor<'a>> =
            std::mem::take(&mut self.anchors).into_iter().filter(|anchor| !known.contains(anchor.id)).collect();
        if missing.is_empty() {
            return;
        }
        if !std::ptr::eq(self.root, resource) {
            // Once for the whole bundle, since every entry may ask
            if self.bundled_places.is_none() {
                let mut all = HashSet::new();
                places(self.root, &mut all);
                self.bundled_places = Some(all);
            }
        }
        let elsewhere = |id: &str| {
            !std::ptr::eq(self.root, resource) && self.bundled_places.as_ref().is_some_and(|all| all.contains(id))
        };
        let missing: Vec<Anchor<'a>> = missing.into_iter().filter(|anchor| !elsewhere(anchor.id)).collect();
        for anchor in missing {
            self.issues.push(Issue {
                severity: anchor.severity,
                code: "invalid",
                text: format!("'#{}' leads nowhere in the resource", super::suggest::name(anchor.id)),
                expression: anchor.expression,
                pointer: anchor.pointer,
                rule: anchor.rule.into(),
                profile: None,
                fix: None,
                about: Vec::new(),
            });
        }
    }

    /// Security labels are a set.
    pub fn security_labels(&mut self, resource: &'a Value, place: &Place<'_>) {
        let Some(Value::Array(labels)) = inner(resource, "meta").and_then(|meta| inner(meta, "security")) else {
            return;
        };
        let text = |label: &'a Value, name: &str| label.get(name).and_then(Value::as_str).unwrap_or_default();
        let mut seen = HashSet::new();
        for (index, label) in labels.iter().enumerate() {
            if !seen.insert((text(label, "system"), text(label, "code"))) {
                let meta = place.plain("meta", None);
                let at = meta.plain("security", Some(index));
                let text = "the resource has this security label already";
                self.raise(&at, None, Say::error("business-rule", "security-label", text));
            }
        }
    }
}

/// Every id below a value: of elements, contained resources and narratives.
fn places<'v>(value: &'v Value, found: &mut HashSet<&'v str>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match (key.as_str(), member) {
                    ("id", Value::String(id)) => {
                        found.insert(id);
                    }
                    ("div", Value::String(div)) => found.extend(xhtml::read(div).ids),
                    _ => places(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| places(item, found)),
        _ => {}
    }
}
