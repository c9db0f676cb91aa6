//! The way through a resource to an element: borrowed for reading; for writing with what is missing made on the way
//! and what has become empty removed on the way back.

use serde_json::Value;

use crate::{
    fhir::{Object, member, member_mut},
    mapping::{
        plan::{Leaf, Name, Step, Target},
        transform::{Element, ElementRef, Env},
    },
};

/// The object that the steps lead to.
pub(super) fn find<'a>(object: &'a Object, steps: &[Step], env: &Env<'_>) -> Option<&'a Object> {
    let Some((step, rest)) = steps.split_first() else { return Some(object) };
    let next = match step {
        Step::Object(name) | Step::Beside(name) => member(object, name)?,
        Step::Item(name, select) => {
            let items = member(object, name)?.as_array()?;
            let found = items.iter().enumerate().find(|(index, item)| select.matches(item, *index, env.context));
            found.map(|(_, item)| item)?
        }
    };
    find(next.as_object()?, rest, env)
}

/// The element that a target names; list leaves are read by `list`.
pub(super) fn element<'a>(object: &'a Object, target: &Target, env: &Env<'_>) -> Option<ElementRef<'a>> {
    match &target.leaf {
        Leaf::Here => {
            let (last, way) = target.steps.split_last()?;
            let owner = find(object, way, env)?;
            let value = match last {
                Step::Object(name) | Step::Beside(name) => member(owner, name)?,
                Step::Item(name, select) => {
                    let items = member(owner, name)?.as_array()?;
                    let found =
                        items.iter().enumerate().find(|(index, item)| select.matches(item, *index, env.context));
                    found.map(|(_, item)| item)?
                }
            };
            Some(ElementRef { value: Some(value), beside: None })
        }
        Leaf::Member { name, beside, .. } => {
            let owner = find(object, &target.steps, env)?;
            let beside = beside.as_ref().and_then(|beside| member(owner, beside));
            Some(ElementRef { value: member(owner, name), beside })
        }
        Leaf::List { .. } => None,
    }
}

/// Changes what stands at the end of the way. `create` makes what is missing; without it nothing happens where the way
/// ends early. An object or list that becomes empty is removed.
pub(super) fn edit<E>(
    object: &mut Object,
    steps: &[Step],
    create: bool,
    env: &Env<'_>,
    change: &mut dyn FnMut(&mut Object) -> Result<(), E>,
) -> Result<(), E> {
    let Some((step, rest)) = steps.split_first() else { return change(object) };
    match step {
        Step::Object(name) | Step::Beside(name) => {
            if !member(object, name).is_some_and(Value::is_object) {
                if !create {
                    return Ok(());
                }
                object.insert(String::from(&**name), Value::Object(Object::new()));
            }
            let Some(Value::Object(inner)) = member_mut(object, name) else { return Ok(()) };
            edit(inner, rest, create, env, change)?;
            if inner.is_empty() {
                object.shift_remove(&**name);
            }
        }
        Step::Item(name, select) => {
            if !member(object, name).is_some_and(Value::is_array) {
                if !create {
                    return Ok(());
                }
                object.insert(String::from(&**name), Value::Array(Vec::new()));
            }
            let Some(Value::Array(items)) = member_mut(object, name) else { return Ok(()) };
            let at = items.iter().enumerate().position(|(index, item)| select.matches(item, index, env.context));
            let at = match at {
                Some(at) => at,
                None if create => {
                    items.push(Value::Object(select.new_item(env.object, env.context)));
                    items.len() - 1
                }
                None => return Ok(()),
            };
            if let Value::Object(inner) = &mut items[at] {
                edit(inner, rest, create, env, change)?;
                if inner.is_empty() || (!create && select.is_bare(inner)) {
                    items.remove(at);
                }
            }
            if items.is_empty() {
                object.shift_remove(&**name);
            }
        }
    }
    Ok(())
}

/// Changes one element; `create` as in [`edit`]. An element without value is removed.
pub(super) fn edit_element<E>(
    object: &mut Object,
    target: &Target,
    create: bool,
    env: &Env<'_>,
    change: &mut dyn FnMut(&mut Element) -> Result<(), E>,
) -> Result<(), E> {
    match &target.leaf {
        Leaf::Here => edit(object, &target.steps, create, env, &mut |owner| {
            let mut element = Element { value: Some(Value::Object(std::mem::take(owner))), beside: None };
            change(&mut element)?;
            if let Some(Value::Object(members)) = element.value {
                *owner = members;
            }
            Ok(())
        }),
        Leaf::Member { name, beside, siblings } => edit(object, &target.steps, create, env, &mut |owner| {
            // Taken out and put back in place, so that the order of members stays.
            let mut element = Element {
                value: member_mut(owner, name).map(Value::take),
                beside: beside.as_ref().and_then(|beside| member_mut(owner, beside)).map(Value::take),
            };
            let changed = change(&mut element);
            put_back(owner, name, element.value);
            if let Some(beside) = beside {
                put_back(owner, beside, element.beside);
            }
            if create {
                remove_siblings(owner, siblings, name);
            }
            changed
        }),
        Leaf::List { .. } => Ok(()),
    }
}

/// Of a choice only one form stands.
pub(super) fn remove_siblings(owner: &mut Object, siblings: &[Name], name: &Name) {
    if siblings.is_empty() {
        return;
    }
    let other = |key: &&String| **key != **name && siblings.iter().any(|sibling| **sibling == ***key);
    while let Some(sibling) = owner.keys().find(other).cloned() {
        owner.shift_remove(&sibling);
    }
}

pub(super) fn put_back(owner: &mut Object, name: &str, value: Option<Value>) {
    match (value, member_mut(owner, name)) {
        (Some(value), Some(place)) => *place = value,
        (Some(value), None) => {
            owner.insert(name.to_owned(), value);
        }
        (None, Some(_)) => {
            owner.shift_remove(name);
        }
        (None, None) => {}
    }
}
