//! Running a plan: reading a resource (`get`), writing an object into one (`put`), the canonical form of an object
//! (`normalise`). Writing happens only where the object differs from what the resource already says; that alone keeps
//! what no rule names.

mod absent;
mod contained;
mod get;
mod list;
mod make;
pub(crate) mod narrative;
mod navigate;
mod normalise;
mod put;

pub(crate) use absent::is_marker;
pub(crate) use contained::let_go;
pub(crate) use get::scope as get_scope;
pub(crate) use list::read_item;
pub(crate) use normalise::scope as normalise_scope;
pub(crate) use put::{Put, scope as put_scope};

use serde_json::Value;

use super::plan::Name;
use crate::fhir::{Object, member};

/// The value of an internal field; null and empty lists or objects are absence.
pub(crate) fn field<'a>(internal: &'a Object, path: &[Name]) -> Option<&'a Value> {
    let (last, way) = path.split_last()?;
    let mut members = internal;
    for name in way {
        members = member(members, name)?.as_object()?;
    }
    member(members, last).filter(|value| !is_absent(value))
}

pub(crate) fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_absent),
        _ => false,
    }
}

/// Sets an internal field, making the objects on the way.
pub(crate) fn set_field(internal: &mut Object, path: &[Name], value: Value) {
    let Some((last, way)) = path.split_last() else { return };
    let mut members = internal;
    for name in way {
        let inner = members.entry(String::from(&**name)).or_insert_with(|| Value::Object(Object::new()));
        if !inner.is_object() {
            *inner = Value::Object(Object::new());
        }
        let Value::Object(next) = inner else { return };
        members = next;
    }
    members.insert(String::from(&**last), value);
}

/// Writes a value to an element that is about to be made.
pub(crate) fn set_element(
    object: &mut Object,
    target: &super::plan::Target,
    value: Value,
    env: &super::transform::Env<'_>,
) {
    let done = navigate::edit_element(object, target, true, env, &mut |element| {
        element.value = Some(value.clone());
        Ok::<(), std::convert::Infallible>(())
    });
    let Ok(()) = done;
}
