//! What a mapping does for the elements that a profile marks as must-support, slices and extensions among them.
//! <https://hl7.org/fhir/R4/conformance-rules.html#mustSupport>

use serde_json::{Value, json};

use super::{ObjectType, RulePath};
use crate::definitions::{Definitions, Element, Structure};

/// A profile that the mapping names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profiled {
    /// Canonical URL.
    pub url: String,
    /// `name#version` of its package; none: it is in no package at hand, so that nothing is said of its elements.
    pub package: Option<String>,
    /// Its must-support elements, those without a rule first.
    pub elements: Vec<Supported>,
}

/// One must-support element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supported {
    /// Its id in the profile: `Patient.extension:race`, `Patient.name.family`.
    pub element: String,
    /// In words.
    pub short: Option<String>,
    /// Field, `file:line` of the rules that read or write it, or something in it; empty: it is preserved, no more.
    pub rules: Vec<(String, String)>,
}

/// The profiles of an object and what becomes of their must-support elements.
pub(super) fn profiled(object: &ObjectType, paths: &[&RulePath], definitions: &Definitions) -> Vec<Profiled> {
    let of = |url: &String| {
        let Some(structure) = definitions.structure(url) else {
            return Profiled { url: url.clone(), package: None, elements: Vec::new() };
        };
        let marked = structure.elements.iter().enumerate().filter(|(at, element)| *at > 0 && element.must_support);
        let mut elements: Vec<Supported> = marked
            .map(|(_, element)| Supported {
                element: element.id.clone(),
                short: element.short.clone(),
                rules: rules_of(element, &structure, paths),
            })
            .collect();
        elements.sort_by_key(|supported| !supported.rules.is_empty());
        Profiled { url: url.clone(), package: Some(structure.package.clone()), elements }
    };
    object.profiles().iter().map(of).collect()
}

fn rules_of(element: &Element, structure: &Structure, paths: &[&RulePath]) -> Vec<(String, String)> {
    let below = element.path.split_once('.').map_or("", |(_, below)| below);
    let extensions = extensions_of(element, structure);
    let fits = |path: &&&RulePath| {
        !path.rule.is_empty()
            && touches(&path.path, below)
            && extensions
                .iter()
                .all(|url| path.target.contains(&format!("'{url}'")) || path.target.contains(&format!("\"{url}\"")))
    };
    let mut rules: Vec<(String, String)> =
        paths.iter().filter(fits).map(|path| (path.field.clone(), path.rule.clone())).collect();
    rules.dedup();
    rules
}

/// The URLs of the extension slices that the element is, or stands in.
fn extensions_of(element: &Element, structure: &Structure) -> Vec<String> {
    let mut urls = Vec::new();
    let mut id = element.id.as_str();
    loop {
        if let Some(own) = structure.element(id)
            && own.slice_name.is_some()
            && own.name() == "extension"
        {
            urls.extend(own.types.iter().flat_map(|kind| &kind.profiles).take(1).cloned());
        }
        match id.rsplit_once('.') {
            Some((owner, _)) => id = owner,
            None => return urls,
        }
    }
}

/// Whether a rule's path is the element, in it, or holds it whole; `value[x]` is any of its forms.
fn touches(rule: &str, element: &str) -> bool {
    let (mut rule, mut element) = (rule.split('.'), element.split('.'));
    loop {
        match (rule.next(), element.next()) {
            (None, _) | (_, None) => return true,
            (Some(own), Some(wanted)) if own == wanted => {}
            (Some(own), Some(wanted)) => {
                let form = wanted.strip_suffix("[x]").and_then(|stem| own.strip_prefix(stem));
                if !form.is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_uppercase())) {
                    return false;
                }
            }
        }
    }
}

impl Profiled {
    pub(super) fn json(&self) -> Value {
        let element = |supported: &Supported| {
            let rules: Vec<Value> =
                supported.rules.iter().map(|(field, rule)| json!({ "field": field, "rule": rule })).collect();
            let state = if rules.is_empty() { "preserved" } else { "mapped" };
            json!({ "element": supported.element, "short": supported.short, "state": state, "rules": rules })
        };
        json!({
            "url": self.url,
            "package": self.package,
            "must_support": self.elements.iter().map(element).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_touches_an_element_above_at_and_below() {
        assert!(touches("name", "name.family") && touches("name.family", "name") && touches("name", "name"));
        assert!(touches("onsetAge", "onset[x]") && touches("valueQuantity.value", "value[x]"));
        assert!(!touches("name.given", "name.family") && !touches("onset", "onset[x]") && !touches("names", "name"));
    }
}
