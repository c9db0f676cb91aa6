//! The children of a place by FHIRPath's names, with their types: lists taken apart, choices found.

use serde_json::Value;
use smallvec::SmallVec;

use crate::{
    fhir::{member, resource_type},
    fhirpath::{Kind, Node},
    profile::{
        place::{Place, What},
        types::{Alternative, Element, Types},
    },
};

/// One child.
#[derive(Clone, Copy)]
pub struct Item<'a> {
    /// Value, extensions, type (of a resource: its own).
    pub node: Node<'a>,
    /// Base definition.
    pub element: &'a Element,
    /// The type it has.
    pub alternative: &'a Alternative,
    /// Index in its list.
    pub index: Option<usize>,
}

impl<'a> Item<'a> {
    /// Its type's name; of a resource its `resourceType`.
    pub fn code(&self) -> &'a str {
        match self.node.value() {
            Some(value) if self.alternative.ty.kind == Kind::Resource => {
                resource_type(value).unwrap_or(&self.alternative.code)
            }
            _ => &self.alternative.code,
        }
    }

    /// Its place below `parent`.
    pub fn place<'p>(&'p self, parent: &'p Place<'p>) -> Place<'p> {
        let chosen = self.element.choice.then_some(&*self.alternative.code);
        let is_resource = self.alternative.ty.kind == Kind::Resource;
        let path: &str = if is_resource { self.code() } else { &self.element.path };
        let what = What { path, code: self.code() };
        parent.member(&self.alternative.key, &self.element.name, chosen, self.index, what)
    }
}

/// A place's children.
pub type Items<'a> = SmallVec<[Item<'a>; 4]>;

/// The children called `name`.
pub fn children<'a>(types: &'a Types, parent: Node<'a>, name: &str) -> Items<'a> {
    let mut found = Items::new();
    let Some((_, node)) = types.content(parent.ty()) else { return found };
    let Some(element) = node.by_name.get(name).map(|at| &node.elements[usize::from(*at)]) else {
        return found;
    };
    // The members of a primitive (its extensions) stand in its sibling.
    let members = parent.value().and_then(Value::as_object).or_else(|| parent.sibling().and_then(Value::as_object));
    let Some(members) = members else { return found };
    let [only] = element.types.as_slice() else {
        // A choice has up to fifty names: it is cheaper to ask of the few members what they are.
        let at = node.by_name.get(name).copied().unwrap_or(u16::MAX);
        for (key, value) in members {
            let Some(key) = node.keys.get(key.as_str()).filter(|key| key.element == at) else { continue };
            let alternative = &element.types[usize::from(key.alternative)];
            if !key.underscore {
                let sibling = alternative.primitive.and_then(|_| member(members, &alternative.underscore));
                push(types, &mut found, element, alternative, Some(value), sibling);
            } else if member(members, &alternative.key).is_none() {
                push(types, &mut found, element, alternative, None, Some(value));
            }
        }
        return found;
    };
    let sibling = only.primitive.and_then(|_| member(members, &only.underscore));
    push(types, &mut found, element, only, member(members, &only.key), sibling);
    found
}

/// Adds the items of one JSON property and its sibling.
fn push<'a>(
    types: &'a Types,
    found: &mut Items<'a>,
    element: &'a Element,
    alternative: &'a Alternative,
    value: Option<&'a Value>,
    sibling: Option<&'a Value>,
) {
    let (values, siblings) = (list(value), list(sibling));
    let is_list = matches!(value, Some(Value::Array(_))) || matches!(sibling, Some(Value::Array(_)));
    for index in 0..values.len().max(siblings.len()) {
        let value = values.get(index).filter(|value| !value.is_null());
        let sibling = siblings.get(index).filter(|sibling| !sibling.is_null());
        if value.is_none() && sibling.is_none() {
            continue;
        }
        let ty = match value {
            Some(value) if alternative.ty.kind == Kind::Resource => {
                resource_type(value).map_or(alternative.ty, |name| types.root(name))
            }
            _ => alternative.ty,
        };
        let node = Node::new(value, sibling, ty);
        found.push(Item { node, element, alternative, index: is_list.then_some(index) });
    }
}

fn list(value: Option<&Value>) -> &[Value] {
    match value {
        None => &[],
        Some(Value::Array(items)) => items,
        Some(one) => std::slice::from_ref(one),
    }
}
