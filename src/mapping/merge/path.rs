//! Pointers into objects: setting what one names, a list's item included; merge patches; and how people write them.

use serde_json::{Map, Value};

use super::{field::FieldRule, form::same, list::names, pair::items};

/// What stands at a pointer now, where that is known: an item is then found by it (`Some(None)`: it is not there).
type Was<'a> = Option<Option<&'a Value>>;

/// Sets or removes what a pointer names.
pub(super) fn put(rule: &FieldRule, target: &mut Value, pointer: &str, value: Option<Value>, was: Was<'_>) {
    let steps: Vec<String> =
        pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    go(rule, target, &steps, value, was);
}

fn go(rule: &FieldRule, target: &mut Value, steps: &[String], value: Option<Value>, was: Was<'_>) {
    let Some((step, rest)) = steps.split_first() else {
        *target = value.unwrap_or_default();
        return;
    };
    if step.starts_with('#') {
        return item(rule, target, step, rest, value, was);
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    if rest.is_empty() {
        match value {
            Some(value) => _ = members.insert(step.clone(), value),
            None => _ = members.shift_remove(step),
        }
        return;
    }
    let inner = members.entry(step.as_str()).or_insert(Value::Null);
    go(super::form::member(rule, step), inner, rest, value, was);
    if inner.is_null() || inner.as_array().is_some_and(Vec::is_empty) {
        members.shift_remove(step);
    }
}

fn item(rule: &FieldRule, list: &mut Value, step: &str, rest: &[String], value: Option<Value>, was: Was<'_>) {
    if !list.is_array() {
        *list = Value::Array(Vec::new());
    }
    let Value::Array(all) = list else { return };
    let found = {
        let items = items(all, rule);
        let named = || names(&items).iter().position(|name| name == step).map(|at| items[at].at);
        match was.filter(|_| rest.is_empty()) {
            Some(was) => was
                .and_then(|was| items.iter().find(|item| same(Some(item.value), Some(was), rule)))
                .map(|item| item.at),
            None => named(),
        }
    };
    let Some(at) = found else {
        if rest.is_empty() {
            all.extend(value);
        }
        return;
    };
    // Of a set, what is said twice is one item.
    let old = all[at].clone();
    let mut index = 0;
    all.retain(|item| {
        index += 1;
        index == at + 1 || !same(Some(item), Some(&old), rule)
    });
    match value {
        value if !rest.is_empty() => go(rule, &mut all[at], rest, value, was),
        Some(value) => all[at] = value,
        None => _ = all.remove(at),
    }
}

/// Sets (or with `None` removes) the value at a JSON pointer whose steps are member names, making objects on the way.
pub fn set(target: &mut Value, pointer: &str, value: Option<Value>) {
    if pointer.is_empty() && value.is_none() {
        return;
    }
    put(&FieldRule::default(), target, pointer, value, None);
}

/// A merge patch (RFC 7396).
pub fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            members.shift_remove(key);
        } else {
            merge_patch(members.entry(key.as_str()).or_insert(Value::Null), value);
        }
    }
}

/// A pointer as people write field paths: `/contact/phone` → `contact.phone`.
#[must_use]
pub fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}
