//! Invariants that a definition states: expressions that can be read and name elements that exist, keys that mean one
//! thing. <https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.constraint>

use std::collections::HashMap;

use serde_json::Value;

use super::{list, structure::Subject, text};
use crate::{
    fhirpath::{Expression, Type},
    profile::{place::Place, say::Say, suggest, types::Types, walk::Walk},
};

/// Keys seen so far, with their expressions.
#[derive(Default)]
pub struct Keys<'a>(HashMap<&'a str, &'a str>);

impl<'a> Keys<'a> {
    /// Whether the key was seen with another expression.
    fn clashes(&mut self, key: &'a str, expression: &'a str) -> bool {
        *self.0.entry(key).or_insert(expression) != expression
    }
}

/// A constraint that has what it takes to be checked.
struct Stated<'a> {
    index: usize,
    key: &'a str,
    expression: &'a str,
    source: Option<&'a str>,
}

fn stated(element: &Value) -> impl Iterator<Item = Stated<'_>> {
    list(element, "constraint").iter().enumerate().filter_map(|(index, constraint)| {
        let (key, expression) = (text(constraint, "key")?, text(constraint, "expression")?);
        Some(Stated { index, key, expression, source: text(constraint, "source") })
    })
}

impl<'a> Walk<'a> {
    /// The constraints of a differential's element.
    pub fn differential_constraints(
        &mut self,
        subject: &Subject<'a>,
        element: &'a Value,
        keys: &mut Keys<'a>,
        at: &Place<'_>,
    ) {
        for Stated { index, key, expression, source } in stated(element) {
            let place = at.plain("constraint", Some(index));
            if let Some(source) = source
                && source != subject.url
                && source != subject.versioned
            {
                let sentence = format!(
                    "the rule {} names another definition as its source: a differential states only rules of its own",
                    suggest::name(key)
                );
                self.raise(&place, Some(&subject.rules), Say::error("invalid", "constraint-source", sentence));
                continue;
            }
            if keys.clashes(key, expression) || self.is_taken(subject, key, expression) {
                let sentence = format!("the key {} means another rule already", suggest::name(key));
                self.raise(&place, Some(&subject.rules), Say::error("invalid", "constraint-key", sentence));
            }
            self.expression(subject, element, key, expression, false, &place);
        }
    }

    /// The constraints of a snapshot's element.
    pub fn snapshot_constraints(
        &mut self,
        subject: &Subject<'a>,
        element: &'a Value,
        keys: &mut Keys<'a>,
        at: &Place<'_>,
    ) {
        for Stated { index, key, expression, source } in stated(element) {
            let place = at.plain("constraint", Some(index));
            // ele-1 was worded in two ways.
            if keys.clashes(key, expression) && key != "ele-1" {
                let sentence = format!("the key {} means another rule elsewhere in this snapshot", suggest::name(key));
                self.raise(&place, Some(&subject.rules), Say::error("invalid", "constraint-key", sentence));
            }
            if source.is_none_or(|source| source == subject.url || source == subject.versioned) {
                self.expression(subject, element, key, expression, true, &place);
            }
        }
    }

    /// Whether the base, or FHIR itself, has a rule with this key that says something else.
    fn is_taken(&self, subject: &Subject<'a>, key: &str, expression: &str) -> bool {
        let mut known =
            subject.base.elements.iter().flat_map(|element| &element.constraints).filter(|it| it.key == key);
        if let Some(found) = known.next() {
            return found.expression.as_deref() != Some(expression);
        }
        let of_fhir = self.types.definitions.rules().get(key);
        of_fhir.is_some_and(|known| !known.iter().any(|known| known == expression)) && subject.is_profile
    }

    fn expression(
        &mut self,
        subject: &Subject<'a>,
        element: &Value,
        key: &str,
        expression: &str,
        certain: bool,
        place: &Place<'_>,
    ) {
        let at = place.plain("expression", None);
        let parsed = match Expression::parse(expression) {
            Ok(parsed) => parsed,
            Err(error) => {
                let sentence = format!("the rule {} cannot be read as FHIRPath: {error}", suggest::name(key));
                let say = Say::error("invalid", "constraint-expression", sentence);
                return self.raise(&at, Some(&subject.rules), say);
            }
        };
        let focus = focus(self.types, element);
        let root = self.types.root(subject.type_name);
        let Some(name) = parsed.unknown_name(self.types, &focus, root) else { return };
        let sentence =
            format!("the rule {} asks for '{}', which is no element there", suggest::name(key), suggest::name(&name));
        let say = Say::error_if(certain, "invalid", "constraint-expression", sentence);
        self.raise(&at, Some(&subject.rules), say);
    }
}

/// What an element's rules are about; empty where that cannot be told.
fn focus(types: &Types, element: &Value) -> Vec<Type> {
    let path = text(element, "path").unwrap_or_default();
    let named = super::types::codes(element);
    if !path.contains('.') {
        return vec![types.root(path)];
    }
    let backbone = |code: &&str| matches!(*code, "BackboneElement" | "Element" | "*");
    if named.is_empty() || named.iter().any(backbone) {
        let mut parts = path.split('.');
        let mut found = vec![types.root(parts.next().unwrap_or_default())];
        for part in parts {
            let name = part.strip_suffix("[x]").unwrap_or(part);
            found = crate::fhirpath::step(types, &found, name);
        }
        return found;
    }
    named.into_iter().map(|code| types.root(code)).collect()
}
