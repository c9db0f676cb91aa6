//! Which items of a FHIR list a rule is about, and what a new such item starts with.

use std::sync::Arc;

use serde_json::Value;

use super::{Condition, Name};
use crate::{
    fhir::{Object, Reference, canonically_equal, inner, member},
    mapping::Context,
};

/// All tests must hold. Without tests every item is meant.
#[derive(Debug, Default)]
pub(crate) struct Selector {
    pub(crate) tests: Vec<Test>,
    /// What a new item starts with: the tests' values and the constants that stand in it.
    pub(crate) template: Object,
    /// A new item gets our identifier system.
    pub(crate) own: bool,
}

/// One test of an item.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Equals(Vec<Name>, Value),
    Differs(Vec<Name>, Value),
    Missing(Vec<Name>),
    Present(Vec<Name>),
    /// A reference to a FHIR type; `objects` are ours of that type.
    RefersTo(Vec<Name>, Name, Vec<Name>),
    Index(usize),
    /// An Identifier that is (or is not) this object's own.
    Own(bool, Name),
    Not(Arc<Selector>),
    Where(Condition),
}

impl Selector {
    /// Whether the item at `index` is meant.
    pub(crate) fn matches(&self, item: &Value, index: usize, context: &Context) -> bool {
        self.tests.iter().all(|test| test.holds(item, index, context))
    }

    /// A new item.
    pub(crate) fn new_item(&self, object: &str, context: &Context) -> Object {
        // With room for what the rules will write.
        let mut item = Object::with_capacity(self.template.len() + 2);
        item.extend(self.template.iter().map(|(name, value)| (name.clone(), value.clone())));
        if self.own {
            item.insert("system".to_owned(), Value::String(context.system(object)));
        }
        item
    }

    /// Whether nothing is left in an item but what it started with.
    pub(crate) fn is_bare(&self, item: &Object) -> bool {
        item.iter().all(|(name, value)| {
            member(&self.template, name).is_some_and(|own| canonically_equal(own, value))
                || (self.own && name == "system")
        })
    }
}

impl Test {
    fn holds(&self, item: &Value, index: usize, context: &Context) -> bool {
        match self {
            Self::Equals(path, value) => any(item, path, &mut |found| canonically_equal(found, value)),
            Self::Differs(path, value) => !any(item, path, &mut |found| canonically_equal(found, value)),
            Self::Missing(path) => !any(item, path, &mut |_| true),
            Self::Present(path) => any(item, path, &mut |_| true),
            Self::RefersTo(path, kind, objects) => {
                any(item, path, &mut |reference| refers_to(reference, kind, objects, context))
            }
            Self::Index(wanted) => *wanted == index,
            Self::Own(own, object) => {
                let system = inner(item, "system").and_then(Value::as_str);
                *own == (system.and_then(|system| context.object_of(system)) == Some(&**object))
            }
            Self::Not(selector) => !selector.matches(item, index, context),
            Self::Where(condition) => condition.holds(item),
        }
    }
}

fn refers_to(reference: &Value, kind: &str, objects: &[Name], context: &Context) -> bool {
    let text = |name| inner(reference, name).and_then(Value::as_str);
    if let Some(said) = text("type") {
        return said == kind;
    }
    if let Some(literal) = text("reference")
        && let Reference::Literal { kind: said, .. } = Reference::parse(literal)
    {
        return said == kind;
    }
    let system =
        inner(reference, "identifier").and_then(|identifier| inner(identifier, "system")).and_then(Value::as_str);
    system.and_then(|system| context.object_of(system)).is_some_and(|object| objects.iter().any(|own| **own == *object))
}

/// Whether something at `path` passes; goes through lists.
fn any(value: &Value, path: &[Name], pass: &mut dyn FnMut(&Value) -> bool) -> bool {
    if let Value::Array(items) = value {
        return items.iter().any(|item| any(item, path, pass));
    }
    match path.split_first() {
        None => !value.is_null() && pass(value),
        Some((name, rest)) => inner(value, name).is_some_and(|inner| any(inner, rest, pass)),
    }
}
