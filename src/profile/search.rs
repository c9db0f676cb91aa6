//! Search parameters for `rest`, from the definitions. Nearly all expressions of FHIR R4 are paths with a few known
//! filters; these are compiled to steps over the JSON, for they run on every write. The rest is left to the FHIRPath
//! engine. Composite and special parameters are not offered.

mod steps;

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use serde_json::Value;

use super::types::Types;
use crate::{
    definitions::{Definitions, SearchParameter},
    fhir,
    fhirpath::{Context, Expression, Item, Node, Type},
    rest::{Parameter, ParameterKind, SearchModel},
};
use steps::Path;

const RESOURCE_TYPES: &str = "http://hl7.org/fhir/resource-types";

/// Search parameters as the definitions have them.
pub struct Search {
    definitions: Arc<Definitions>,
    engine: Types,
    types: OnceLock<BTreeSet<String>>,
    parameters: RwLock<HashMap<String, Arc<[Arc<Parameter>]>>>,
    compiled: RwLock<HashMap<String, Arc<Vec<Alternative>>>>,
}

/// One side of a union.
#[derive(Debug)]
enum Alternative {
    Steps(Path),
    Engine(Expression),
}

impl Search {
    /// Reads nothing yet; each type's parameters are compiled when first asked for.
    #[must_use]
    pub fn new(definitions: Arc<Definitions>) -> Self {
        Self {
            engine: Types::new(definitions.clone()),
            definitions,
            types: OnceLock::new(),
            parameters: RwLock::default(),
            compiled: RwLock::default(),
        }
    }

    fn known_types(&self) -> &BTreeSet<String> {
        self.types.get_or_init(|| {
            let codes = self.definitions.resource(RESOURCE_TYPES);
            let concepts = codes.as_ref().and_then(|codes| codes.get("concept")?.as_array());
            let codes = concepts.into_iter().flatten().filter_map(|concept| concept.get("code")?.as_str());
            codes.filter(|code| !["Resource", "DomainResource"].contains(code)).map(str::to_owned).collect()
        })
    }

    fn compiled(&self, parameter: &Parameter) -> Arc<Vec<Alternative>> {
        let known = self.compiled.read().unwrap_or_else(PoisonError::into_inner).get(&parameter.expression).cloned();
        known.unwrap_or_else(|| {
            let made = Arc::new(alternatives(&parameter.expression));
            let mut compiled = self.compiled.write().unwrap_or_else(PoisonError::into_inner);
            compiled.entry(parameter.expression.clone()).or_insert(made).clone()
        })
    }

    /// What cannot be evaluated finds nothing: one odd resource must not make a type unsearchable.
    fn evaluate<'r>(&self, expression: &Expression, resource: &'r Value, found: &mut Vec<Cow<'r, Value>>) {
        let kind = fhir::resource_type(resource).map_or(Type::UNKNOWN, |kind| self.engine.root(kind));
        let focus = Node::new(Some(resource), None, kind);
        let Ok(items) = expression.evaluate(focus, &Context::new(&self.engine, Some(focus))) else { return };
        for item in items {
            match item {
                Item::Node(node) => found.extend(node.value().cloned().map(Cow::Owned)),
                Item::Boolean(flag) => found.push(Cow::Owned(Value::Bool(flag))),
                Item::String(text) => found.push(Cow::Owned(Value::String(text.into_owned()))),
                Item::Integer(number) => found.push(Cow::Owned(Value::from(number))),
                _ => {}
            }
        }
    }
}

/// The parameter for one type: only those sides of the union that can be about it.
fn parameter(kind: &str, definition: &SearchParameter) -> Option<Parameter> {
    if ["_id", "_lastUpdated"].contains(&definition.code.as_str()) {
        return None;
    }
    let all = definition.expression.as_deref()?;
    let about = |side: &&str| {
        let side = side.trim_start_matches('(').trim_start();
        let head = side.split(['.', ' ', ')']).next().unwrap_or_default();
        !head.starts_with(|c: char| c.is_ascii_uppercase()) || [kind, "Resource", "DomainResource"].contains(&head)
    };
    let own: Vec<&str> = union(all).into_iter().filter(about).collect();
    if own.is_empty() {
        return None;
    }
    Some(Parameter {
        name: definition.code.clone(),
        kind: ParameterKind::parse(&definition.kind)?,
        targets: definition.target.clone(),
        url: definition.url.clone(),
        expression: own.join(" | "),
    })
}

/// The sides of a union, split outside of parentheses and texts.
fn union(expression: &str) -> Vec<&str> {
    let (mut sides, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0_i32, false);
    for (at, letter) in expression.char_indices() {
        match letter {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            '|' if !quoted && depth == 0 => {
                sides.push(expression[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    sides.push(expression[start..].trim());
    sides
}

fn alternatives(expression: &str) -> Vec<Alternative> {
    union(expression)
        .into_iter()
        .filter_map(|side| {
            Path::compile(side)
                .map(Alternative::Steps)
                .or_else(|| Expression::parse(side).ok().map(Alternative::Engine))
        })
        .collect()
}

impl SearchModel for Search {
    fn types(&self) -> Vec<String> {
        self.known_types().iter().cloned().collect()
    }

    fn is_type(&self, kind: &str) -> bool {
        self.known_types().contains(kind)
    }

    fn parameters(&self, kind: &str) -> Arc<[Arc<Parameter>]> {
        if let Some(known) = self.parameters.read().unwrap_or_else(PoisonError::into_inner).get(kind) {
            return known.clone();
        }
        let mut list: Vec<Arc<Parameter>> = Vec::new();
        for definition in self.definitions.search_parameters(kind) {
            // A package may define a parameter anew; the later one counts.
            if let Some(parameter) = parameter(kind, &definition) {
                list.retain(|other| other.name != parameter.name);
                list.push(Arc::new(parameter));
            }
        }
        list.sort_by(|a, b| a.name.cmp(&b.name));
        let mut known = self.parameters.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(kind.to_owned()).or_insert_with(|| list.into()).clone()
    }

    fn values<'r>(&self, parameter: &Parameter, resource: &'r Value) -> Vec<Cow<'r, Value>> {
        let mut found = Vec::new();
        for alternative in self.compiled(parameter).iter() {
            match alternative {
                Alternative::Steps(path) => path.values(resource, &mut found),
                Alternative::Engine(expression) => self.evaluate(expression, resource, &mut found),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
