//! A number of one fixed unit ⇄ Quantity in UCUM (<http://unitsofmeasure.org>). A quantity in another unit is left alone.

use serde_json::Value;

use super::Element;
use crate::fhir::Object;

const UCUM: &str = "http://unitsofmeasure.org";

pub(super) fn get(quantity: &Value, unit: &str) -> Option<Value> {
    let text = |name: &str| quantity.get(name).and_then(Value::as_str);
    let own = match text("code") {
        Some(code) => code == unit && text("system").is_none_or(|system| system == UCUM),
        None => text("unit") == Some(unit),
    };
    if own && text("comparator").is_none() { quantity.get("value").cloned() } else { None }
}

pub(super) fn put(new: Option<&Value>, element: &mut Element, unit: &str) {
    let mut members = match element.value.take() {
        Some(Value::Object(members)) => members,
        _ => Object::new(),
    };
    let Some(number) = new else {
        for name in ["value", "unit", "system", "code"] {
            members.shift_remove(name);
        }
        element.value = (!members.is_empty()).then_some(Value::Object(members));
        return;
    };
    members.shift_remove("comparator");
    members.insert("value".to_owned(), number.clone());
    if members.get("code").and_then(Value::as_str) != Some(unit) {
        for (name, value) in [("unit", unit), ("system", UCUM), ("code", unit)] {
            members.insert(name.to_owned(), value.into());
        }
    }
    element.value = Some(Value::Object(members));
}
