//! Lists. An item that is recognised again (by its key, else as equal, else by its position) keeps what no rule names;
//! items that the rule is not about stay where they are; new ones follow. Linear in the list's length.

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
};

use serde_json::Value;

use super::{
    make, navigate,
    put::{Failure, Put, normal_item, scope},
};
use crate::{
    fhir::{Object, canonical_bytes, canonically_equal, inner, member, member_mut},
    mapping::{
        plan::{Kind, Leaf, Name, Rule, Selector},
        transform::{Element, ElementRef, Env},
    },
};

/// The internal values of the items that a rule is about, in order.
pub(super) fn read(object: &Object, rule: &Rule, env: &Env<'_>) -> Vec<Value> {
    let Leaf::List { name, beside, select } = &rule.target.leaf else { return Vec::new() };
    let Some(owner) = navigate::find(object, &rule.target.steps, env) else { return Vec::new() };
    let items = member(owner, name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let besides = beside.as_ref().and_then(|beside| member(owner, beside)).and_then(Value::as_array);
    let besides = besides.map_or(&[][..], Vec::as_slice);
    let read = |at| read_item(ElementRef { value: items.get(at), beside: besides.get(at) }, at, rule, select, env);
    let mut found: Vec<Value> = (0..items.len().max(besides.len())).filter_map(read).collect();
    // Few enough: what may stand once only is a word of a list.
    if env.checked && rule.fit.as_ref().is_some_and(|fit| fit.once) {
        for at in (1..found.len()).rev() {
            if found[..at].iter().any(|other| canonically_equal(other, &found[at])) {
                found.remove(at);
            }
        }
    }
    found
}

/// The internal value of one item; none if the rule is not about it, or finds nothing in it.
pub(crate) fn read_item(
    element: ElementRef<'_>,
    index: usize,
    rule: &Rule,
    select: &Selector,
    env: &Env<'_>,
) -> Option<Value> {
    let value = element.value.filter(|value| !value.is_null())?;
    if rule.absent.is_some() && super::absent::is_marker(element) {
        return None;
    }
    if !select.matches(value, index, env.context) {
        return None;
    }
    match &rule.kind {
        Kind::Values(transform) => {
            super::get::fitting(transform.get(ElementRef { value: Some(value), ..element }, env), rule, env)
        }
        Kind::Each { scope, .. } => super::get_scope(value.as_object()?, scope, env),
        _ => None,
    }
    .filter(|value| !super::is_absent(value))
}

/// Makes the list say `new`.
pub(super) fn write(
    new: Option<&Value>,
    _old: Option<&Value>,
    object: &mut Object,
    rule: &Rule,
    put: &mut Put<'_>,
) -> Result<(), Failure> {
    let Leaf::List { name, beside, select } = &rule.target.leaf else { return Ok(()) };
    let new = new.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let env = put.env;
    navigate::edit(object, &rule.target.steps, !new.is_empty(), &env, &mut |owner| {
        let slots = take(owner, name, beside.as_ref());
        let items = merge(new, slots, rule, select, put)?;
        give_back(owner, name, beside.as_ref(), items);
        Ok(())
    })
}

fn take(owner: &mut Object, name: &Name, beside: Option<&Name>) -> Vec<Element> {
    let mut list = |name: &Name| match member_mut(owner, name).map(Value::take) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    let values = list(name);
    let besides = beside.map(&mut list).unwrap_or_default();
    let length = values.len().max(besides.len());
    let (mut values, mut besides) = (values.into_iter(), besides.into_iter());
    let some = |list: &mut std::vec::IntoIter<Value>| list.next().filter(|value| !value.is_null());
    (0..length).map(|_| Element { value: some(&mut values), beside: some(&mut besides) }).collect()
}

fn give_back(owner: &mut Object, name: &Name, beside: Option<&Name>, items: Vec<Element>) {
    if let Some(beside) = beside {
        let any = items.iter().any(|item| item.beside.is_some());
        let list = || items.iter().map(|item| item.beside.clone().unwrap_or(Value::Null)).collect();
        navigate::put_back(owner, beside, any.then(list));
    }
    let any = items.iter().any(|item| item.value.is_some());
    let list: Vec<Value> = items.into_iter().map(|item| item.value.unwrap_or(Value::Null)).collect();
    navigate::put_back(owner, name, any.then_some(Value::Array(list)));
}

fn key(value: &Value, by: &[Name]) -> Vec<u8> {
    if by.is_empty() {
        return canonical_bytes(value);
    }
    canonical_bytes(&by.iter().map(|name| inner(value, name).cloned().unwrap_or(Value::Null)).collect())
}

/// Whether two items have equal keys.
fn same_key(a: &Value, b: &Value, by: &[Name]) -> bool {
    if by.is_empty() {
        return canonically_equal(a, b);
    }
    by.iter().all(|name| match (inner(a, name), inner(b, name)) {
        (Some(a), Some(b)) => canonically_equal(a, b),
        (None, other) | (other, None) => other.is_none_or(Value::is_null),
    })
}

fn merge(
    new: &[Value],
    slots: Vec<Element>,
    rule: &Rule,
    select: &Selector,
    put: &mut Put<'_>,
) -> Result<Vec<Element>, Failure> {
    let env = put.env;
    let by: &[Name] = if let Kind::Each { by, .. } = &rule.kind { by } else { &[] };
    let old: Vec<Option<Value>> = slots
        .iter()
        .enumerate()
        .map(|(at, slot)| {
            let element = ElementRef { value: slot.value.as_ref(), beside: slot.beside.as_ref() };
            read_item(element, at, rule, select, &env)
        })
        .collect();
    let mut visible = old.iter().flatten();
    let new: Vec<Cow<'_, Value>> = new
        .iter()
        .filter(|item| !super::is_absent(item))
        .map(|item| match visible.next() {
            None if slots.is_empty() => Cow::Borrowed(item),
            // What was read is in normal form, and most often it says the same.
            Some(read) if canonically_equal(item, read) => Cow::Borrowed(item),
            _ => normal_item(item, rule, &env),
        })
        .collect();
    let partners = pair(&new, &old, by);
    let mut slots: Vec<Option<Element>> = slots.into_iter().map(Some).collect();
    let mut made = Vec::with_capacity(new.len());
    for (index, (item, partner)) in new.iter().zip(partners).enumerate() {
        let slot = partner.and_then(|at| slots[at].take());
        let before = partner.and_then(|at| old[at].as_ref());
        made.push(write_item(item, before, slot, index, rule, select, put)?);
    }
    // Items that the rule is not about keep their places among the others.
    let mut made = made.into_iter();
    let mut merged = Vec::with_capacity(slots.len());
    for (slot, old) in slots.into_iter().zip(old) {
        match old {
            Some(_) => merged.extend(made.next()),
            None => merged.extend(slot),
        }
    }
    merged.extend(made);
    merged.retain(|item| item.value.is_some() || item.beside.is_some());
    Ok(merged)
}

/// For each new item the old one that it is, if any.
fn pair(new: &[Cow<'_, Value>], old: &[Option<Value>], by: &[Name]) -> Vec<Option<usize>> {
    let mut visible = old.iter().enumerate().filter_map(|(at, value)| Some((at, value.as_ref()?))).peekable();
    // As long as both lists say the same, each is its own partner; most often that is all.
    let mut partners: Vec<Option<usize>> = Vec::with_capacity(new.len());
    for item in new {
        let Some((at, _)) = visible.next_if(|(_, value)| same_key(item, value, by)) else { break };
        partners.push(Some(at));
    }
    let mut known: HashMap<Vec<u8>, VecDeque<usize>> = HashMap::new();
    for (at, value) in visible {
        known.entry(key(value, by)).or_default().push_back(at);
    }
    if known.is_empty() {
        partners.resize(new.len(), None);
        return partners;
    }
    let rest = partners.len();
    partners.extend(new[rest..].iter().map(|item| known.get_mut(&key(item, by)).and_then(VecDeque::pop_front)));
    if by.is_empty() {
        let free: std::collections::HashSet<usize> = known.into_values().flatten().collect();
        let visible = old.iter().enumerate().filter(|(_, value)| value.is_some()).map(|(at, _)| at);
        for (partner, at) in partners.iter_mut().zip(visible) {
            if partner.is_none() && free.contains(&at) {
                *partner = Some(at);
            }
        }
    }
    partners
}

fn write_item(
    new: &Value,
    old: Option<&Value>,
    slot: Option<Element>,
    index: usize,
    rule: &Rule,
    select: &Selector,
    put: &mut Put<'_>,
) -> Result<Element, Failure> {
    let Some(mut element) = slot else { return make::item(new, index, rule, select, put) };
    if old.is_some_and(|old| canonically_equal(old, new)) {
        return Ok(element);
    }
    let env = put.env;
    match &rule.kind {
        Kind::Values(transform) => transform
            .put(Some(new), old, &mut element, &env)
            .map_err(|why| Failure::from(why).within(&index.to_string()))?,
        Kind::Each { scope: inner, .. } => {
            let mut members = match element.value.take() {
                Some(Value::Object(members)) => members,
                _ => Object::new(),
            };
            let before = put.failures.len();
            scope(new, old, &mut members, inner, put);
            for failure in put.failures.drain(before..).collect::<Vec<_>>() {
                put.failures.push(failure.within(&index.to_string()));
            }
            element.value = (!members.is_empty()).then_some(Value::Object(members));
        }
        _ => {}
    }
    Ok(element)
}
