//! From a place to its children: by name (with choice elements and primitive siblings) and all of them.

use std::{borrow::Cow, ops::ControlFlow};

use serde_json::{Map, Value};

use super::{
    error::Error,
    eval::{Flow, Run, Sink},
    item::{Item, Node},
    model::Child,
    types::{Kind, Type},
};
use crate::fhir::{inner, member};

type Pair<'a> = (Option<&'a Value>, Option<&'a Value>);

/// The property and its primitive sibling. Objects are small: one pass over the keys beats two hash look-ups.
fn property<'a>(map: &'a Map<String, Value>, name: &str) -> Pair<'a> {
    if map.len() > 40 {
        return (map.get(name), map.get(&format!("_{name}")));
    }
    let mut found = (None, None);
    for (key, value) in map {
        if key.len() == name.len() {
            if key == name {
                found.0 = Some(value);
            }
        } else if key.len() == name.len() + 1 && key.starts_with('_') && key.ends_with(name) {
            found.1 = Some(value);
        }
    }
    found
}

impl<'a> Run<'_, 'a> {
    /// A resource as a node typed by its `resourceType`.
    pub(super) fn resource_node(&self, value: &'a Value) -> Node<'a> {
        Node::new(Some(value), None, self.refined(value, Type::UNKNOWN))
    }

    /// The type of what stands where `declared` is declared: `resourceType` decides for resources.
    fn refined(&self, value: &Value, declared: Type) -> Type {
        if matches!(declared.kind, Kind::Resource | Kind::Unknown)
            && let Value::Object(map) = value
            && let Some(name) = member(map, "resourceType").and_then(Value::as_str)
        {
            return self.context.model.named(name).unwrap_or(declared);
        }
        declared
    }

    /// Hands each item of a property to the sink.
    fn emit(&self, (value, sibling): Pair<'a>, ty: Type, sink: Sink<'_, 'a>) -> Flow {
        let one = |value: Option<&'a Value>, sibling: Option<&'a Value>, sink: Sink<'_, 'a>| {
            let value = value.filter(|value| !value.is_null());
            let sibling = sibling.filter(|sibling| sibling.is_object());
            if value.is_none() && sibling.is_none() {
                return Ok(ControlFlow::Continue(()));
            }
            let ty = value.map_or(ty, |value| self.refined(value, ty));
            sink(Item::Node(Node { value, sibling, ty }))
        };
        let list = |value: Option<&'a Value>| value.and_then(Value::as_array).map(Vec::as_slice);
        let (values, siblings) = (list(value), list(sibling));
        if values.is_none() && siblings.is_none() {
            return one(value, sibling, sink);
        }
        let (values, siblings) = (values.unwrap_or_default(), siblings.unwrap_or_default());
        for at in 0..values.len().max(siblings.len()) {
            self.step()?;
            if one(values.get(at), siblings.get(at), sink)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The children of an item with this name.
    pub(super) fn member(&self, item: &Item<'a>, name: &str, sink: Sink<'_, 'a>) -> Flow {
        match item {
            Item::Node(node) => match node.value {
                Some(Value::Object(map)) => self.member_of_object(node, map, name, sink),
                Some(Value::Array(_)) => Ok(ControlFlow::Continue(())),
                _ => self.member_of_primitive(item, node, name, sink),
            },
            Item::Type(namespace, type_name) => match name {
                "namespace" => sink(Item::String(Cow::Borrowed(namespace))),
                "name" => sink(Item::String(type_name.clone())),
                _ => Ok(ControlFlow::Continue(())),
            },
            Item::Quantity(quantity) => match name {
                "value" => sink(Item::Decimal(quantity.value)),
                "unit" | "code" => sink(Item::String(quantity.unit.clone())),
                _ => Ok(ControlFlow::Continue(())),
            },
            _ => self.no_such_element(name),
        }
    }

    fn no_such_element(&self, name: &str) -> Flow {
        if self.context.strict {
            return Err(Error::evaluation(format!("there is no element '{name}' here")));
        }
        Ok(ControlFlow::Continue(()))
    }

    fn member_of_object(&self, node: &Node<'a>, map: &'a Map<String, Value>, name: &str, sink: Sink<'_, 'a>) -> Flow {
        let found = property(map, name);
        if name == "resourceType" {
            return self.no_such_element(name);
        }
        let child = if node.ty.is_unknown() { Child::Unknown } else { self.context.model.child(node.ty, name) };
        match child {
            Child::Element(ty) => self.emit(found, ty, sink),
            Child::Choice(choices) => {
                for choice in choices {
                    let found = property(map, &choice.key);
                    if found.0.is_some() || found.1.is_some() {
                        return self.emit(found, choice.ty, sink);
                    }
                }
                Ok(ControlFlow::Continue(()))
            }
            Child::Absent => self.no_such_element(name),
            Child::Unknown if found.0.is_some() || found.1.is_some() => {
                self.emit(found, self.guessed(name, found.0), sink)
            }
            Child::Unknown => self.guessed_choice(map, name, sink),
        }
    }

    /// Without a model: the few names that mean the same everywhere.
    fn guessed(&self, name: &str, value: Option<&Value>) -> Type {
        let type_name = match name {
            "extension" | "modifierExtension" => "Extension",
            "meta" => "Meta",
            "period" => "Period",
            "code" if value.is_some_and(Value::is_string) => "code",
            "coding" => "Coding",
            "id" => "id",
            "birthDate" => "date",
            _ => return Type::UNKNOWN,
        };
        self.context.model.named(type_name).unwrap_or(Type::UNKNOWN)
    }

    /// Without a model: `value` finds `valueQuantity` where `Quantity` is the name of a type.
    fn guessed_choice(&self, map: &'a Map<String, Value>, name: &str, sink: Sink<'_, 'a>) -> Flow {
        for key in map.keys() {
            let plain = key.strip_prefix('_').unwrap_or(key);
            let Some(suffix) =
                plain.strip_prefix(name).filter(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
            else {
                continue;
            };
            let lower: String =
                suffix.chars().enumerate().map(|(at, c)| if at == 0 { c.to_ascii_lowercase() } else { c }).collect();
            let ty = self.context.model.named(suffix).or_else(|| self.context.model.named(&lower));
            if let Some(ty) = ty {
                return self.emit(property(map, plain), ty, sink);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn member_of_primitive(&self, item: &Item<'a>, node: &Node<'a>, name: &str, sink: Sink<'_, 'a>) -> Flow {
        match (name, node.sibling) {
            ("id" | "extension", Some(Value::Object(map))) => {
                let type_name = if name == "id" { "string" } else { "Extension" };
                let ty = self.context.model.named(type_name).unwrap_or(Type::UNKNOWN);
                self.emit((map.get(name), None), ty, sink)
            }
            ("id" | "extension", _) => Ok(ControlFlow::Continue(())),
            ("value", _) if node.value.is_some() => sink(item.atom()),
            ("value", _) => Ok(ControlFlow::Continue(())),
            _ => self.no_such_element(name),
        }
    }

    /// All children, in the order of the JSON.
    pub(super) fn children(&self, item: &Item<'a>, sink: Sink<'_, 'a>) -> Flow {
        let Item::Node(node) = item else { return Ok(ControlFlow::Continue(())) };
        let (map, of_primitive) = match (node.value, node.sibling) {
            (Some(Value::Object(map)), _) => (map, false),
            (_, Some(Value::Object(map))) => (map, true),
            _ => return Ok(ControlFlow::Continue(())),
        };
        for (key, value) in map {
            self.step()?;
            let plain = key.strip_prefix('_').unwrap_or(key);
            let is_sibling = plain.len() != key.len();
            if matches!(plain, "resourceType" | "fhir_comments") || (is_sibling && map.contains_key(plain)) {
                continue;
            }
            let mut ty = if of_primitive || node.ty.is_unknown() {
                self.guessed(plain, Some(value))
            } else {
                self.context.model.property(node.ty, plain)
            };
            if ty.is_unknown() && !of_primitive {
                ty = self.guessed(plain, Some(value));
            }
            let pair = if is_sibling {
                (None, Some(value))
            } else if value.is_object() || ty.kind == Kind::Complex {
                (Some(value), None)
            } else {
                property(map, plain)
            };
            if self.emit(pair, ty, sink)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// All descendants, parents before children, in the order of the JSON. Uses no stack for depth.
    pub(super) fn descendants(&self, item: &Item<'a>, sink: Sink<'_, 'a>) -> Flow {
        let mut waiting = vec![];
        let _ = self.children(item, &mut |child| {
            waiting.push(child);
            Ok(ControlFlow::Continue(()))
        })?;
        waiting.reverse();
        while let Some(next) = waiting.pop() {
            self.step()?;
            let start = waiting.len();
            let _ = self.children(&next, &mut |child| {
                waiting.push(child);
                Ok(ControlFlow::Continue(()))
            })?;
            waiting[start..].reverse();
            if sink(next)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The target of a Reference, or of a text that is one.
    pub(super) fn resolve(&self, item: &Item<'a>, sink: Sink<'_, 'a>) -> Flow {
        let text = match item {
            Item::Node(Node { value: Some(Value::Object(map)), .. }) => {
                member(map, "reference").and_then(Value::as_str)
            }
            other => other.text(),
        };
        let Some(text) = text else { return Ok(ControlFlow::Continue(())) };
        let root = self.context.root_resource.or(self.context.resource).and_then(|node| node.value);
        if let Some(id) = text.strip_prefix('#') {
            let Some(root) = root else { return Ok(ControlFlow::Continue(())) };
            if id.is_empty() {
                return sink(Item::Node(self.resource_node(root)));
            }
            let contained = inner(root, "contained").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            for one in contained {
                self.step()?;
                if inner(one, "id").and_then(Value::as_str) == Some(id) {
                    return sink(Item::Node(self.resource_node(one)));
                }
            }
            return Ok(ControlFlow::Continue(()));
        }
        match self.context.resolver.and_then(|resolver| resolver.resolve(text, root)) {
            Some(super::Resolved::Resource(found)) => sink(Item::Node(self.resource_node(found))),
            Some(super::Resolved::OnlyType(ty)) => sink(Item::Node(Node::new(None, None, ty))),
            None => Ok(ControlFlow::Continue(())),
        }
    }
}
