//! Search keys: exact texts under which a store's index finds candidates, so that a search by identifier, code or
//! reference does not walk the whole store. A key may find too much, never too little.

use serde_json::Value;

use super::compare::{Modifier, Test, local, reference_text, tokens};
use super::query::Filter;
use crate::{
    fhir,
    rest::{ParameterKind, SearchModel},
};

/// All keys of a resource.
pub(in crate::rest) fn keys(model: &dyn SearchModel, base: &str, resource: &Value) -> Vec<String> {
    let mut keys = Vec::new();
    let Some(kind) = fhir::resource_type(resource) else { return keys };
    for parameter in model.parameters(kind).iter() {
        let name = &parameter.name;
        match parameter.kind {
            ParameterKind::Token => {
                for element in model.values(parameter, resource) {
                    for (system, code) in tokens(&element) {
                        let Some(code) = code else { continue };
                        keys.push(format!("{name}={code}"));
                        if let Some(system) = system {
                            keys.push(format!("{name}={system}|{code}"));
                        }
                    }
                }
            }
            ParameterKind::Reference => {
                for element in model.values(parameter, resource) {
                    if let Some(text) = reference_text(&element) {
                        let key = local(text, base).map_or_else(|| text.to_owned(), |(_, id)| id.to_owned());
                        keys.push(format!("{name}={key}"));
                    }
                    for (system, code) in element.get("identifier").into_iter().flat_map(tokens) {
                        let (system, code) = (system.unwrap_or_default(), code.unwrap_or_default());
                        keys.push(format!("{name}:{system}|{code}"));
                        keys.push(format!("{name}:{code}"));
                    }
                }
            }
            _ => {}
        }
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The keys of which a match must have one; `None` if the filter cannot be looked up.
pub(super) fn lookup(filter: &Filter) -> Option<Vec<String>> {
    let Filter::Values { parameter, modifier, tests } = filter else { return None };
    let name = &parameter.name;
    let by_identifier = match modifier {
        None | Some(Modifier::Type(_)) => false,
        Some(Modifier::Identifier) => true,
        Some(_) => return None,
    };
    tests
        .iter()
        .map(|test| match test {
            Test::Token(system, Some(code)) => {
                let sign = if by_identifier { ':' } else { '=' };
                match system.as_deref() {
                    Some(system) if !system.is_empty() => Some(format!("{name}{sign}{system}|{code}")),
                    _ => Some(format!("{name}{sign}{code}")),
                }
            }
            Test::Reference(_, id) => Some(format!("{name}={id}")),
            _ => None,
        })
        .collect()
}
