//! `absent:`: where a dialect demands an element that is not known, the resource says so and why; on the way back that
//! reads as not known. <https://hl7.org/fhir/R4/extension-data-absent-reason.html>

use serde_json::{Value, json};

use super::navigate;
use crate::{
    fhir::{Object, member},
    mapping::{
        plan::{Leaf, Rule},
        transform::{Element, ElementRef, Env},
    },
};

const EXTENSION: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
const SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/data-absent-reason";

fn extension(reason: &str) -> Value {
    json!({ "extension": [{ "url": EXTENSION, "valueCode": reason }] })
}

fn marker(kind: &str, reason: &str) -> Value {
    if kind != "CodeableConcept" {
        return extension(reason);
    }
    let mut display = reason.replace('-', " ");
    if let Some(first) = display.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    json!({ "coding": [{ "system": SYSTEM, "code": reason, "display": display }] })
}

/// Whether an element says only that, and why, it is not known.
pub(crate) fn is_marker(element: ElementRef<'_>) -> bool {
    let only = |members: &Object, name: &str| members.len() == 1 && member(members, name).is_some();
    let first = |members: &Object, name: &str, key: &str, wanted: &str| {
        let items = member(members, name).and_then(Value::as_array);
        items.is_some_and(|items| items.len() == 1 && items[0].get(key).is_some_and(|value| value == wanted))
    };
    let is = |value: &Value| {
        value.as_object().is_some_and(|members| {
            (only(members, "extension") && first(members, "extension", "url", EXTENSION))
                || (only(members, "coding") && first(members, "coding", "system", SYSTEM))
        })
    };
    match (element.value.filter(|value| !value.is_null()), element.beside) {
        (Some(value), None) => is(value),
        (None, Some(beside)) => is(beside),
        _ => false,
    }
}

/// Says that the element is not known. It has no value any more.
pub(super) fn mark(object: &mut Object, rule: &Rule, reason: &str, env: &Env<'_>) {
    let target = &rule.target;
    let made = marker(&target.type_name, reason);
    if let Leaf::List { name, .. } = &target.leaf {
        let Ok(()) = navigate::edit(object, &target.steps, true, env, &mut |owner| {
            if !owner.contains_key(&**name) {
                owner.insert(String::from(&**name), Value::Array(vec![made.clone()]));
            }
            Ok::<(), std::convert::Infallible>(())
        });
        return;
    }
    let Ok(()) = navigate::edit_element(object, target, true, env, &mut |element| {
        if target.type_name.starts_with(char::is_lowercase) {
            element.beside.get_or_insert_with(|| made.clone());
        } else if element.value.as_ref().and_then(Value::as_object).is_none_or(Object::is_empty) {
            element.value = Some(made.clone());
        }
        Ok::<(), std::convert::Infallible>(())
    });
}

/// Takes the marker away, since there will be a value.
pub(super) fn unmark(object: &mut Object, rule: &Rule, env: &Env<'_>) {
    let target = &rule.target;
    if let Leaf::List { name, .. } = &target.leaf {
        let Ok(()) = navigate::edit(object, &target.steps, false, env, &mut |owner| {
            if let Some(Value::Array(items)) = owner.get_mut(&**name) {
                items.retain(|item| !is_marker(ElementRef { value: Some(item), beside: None }));
                if items.is_empty() {
                    owner.shift_remove(&**name);
                }
            }
            Ok::<(), std::convert::Infallible>(())
        });
        return;
    }
    let Ok(()) = navigate::edit_element(object, target, false, env, &mut |element| {
        if is_marker(ElementRef { value: element.value.as_ref(), beside: element.beside.as_ref() }) {
            *element = Element::default();
        }
        Ok::<(), std::convert::Infallible>(())
    });
}
