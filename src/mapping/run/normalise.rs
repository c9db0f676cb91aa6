//! The canonical form of an internal object: what `get` would give back for it. Defaults filled in, times and
//! references written the one way, nulls and empty lists left out. Fields without a rule stay.

use serde_json::Value;

use super::{field, is_absent, set_field};
use crate::{
    fhir::Object,
    mapping::{
        plan::{Kind, Scope},
        transform::Env,
    },
};

/// The value as the scope's rules would read it back.
pub(crate) fn scope(value: &Value, scope: &Scope, env: &Env<'_>) -> Value {
    let mut normal = without_absent(value);
    for rule in &scope.rules {
        if rule.internal.is_empty() {
            if let Some(value) = of_kind(&normal, &rule.kind, env) {
                normal = value;
            }
            continue;
        }
        let Value::Object(members) = &mut normal else { continue };
        if rule.condition.as_ref().is_some_and(|condition| !condition.holds(value)) {
            remove_field(members, &rule.internal);
        }
        match field(members, &rule.internal) {
            Some(value) => {
                if let Some(value) = of_kind(value, &rule.kind, env) {
                    set_field(members, &rule.internal, value);
                }
            }
            None => {
                if let Some(default) = &rule.default {
                    set_field(members, &rule.internal, default.clone());
                }
            }
        }
    }
    normal
}

/// The normal form by a rule's kind; none if it is in it.
pub(super) fn of_kind(value: &Value, kind: &Kind, env: &Env<'_>) -> Option<Value> {
    match kind {
        Kind::Leaf(transform) => transform.normal(value, env),
        Kind::Group(inner) | Kind::Contained { scope: inner, .. } => Some(scope(value, inner, env)),
        Kind::Values(transform) => {
            let items = value.as_array()?;
            Some(items.iter().map(|item| transform.normal(item, env).unwrap_or_else(|| item.clone())).collect())
        }
        Kind::Each { scope: inner, .. } => {
            let items = value.as_array()?;
            Some(items.iter().map(|item| scope(item, inner, env)).filter(|item| !is_absent(item)).collect())
        }
        Kind::Compute(_) | Kind::Fixed(_) => None,
    }
}

/// Whether all of it is in normal form as far as absence goes; then it need not be copied.
fn without_absent(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(_, value)| !is_absent(value))
                .map(|(name, value)| (name.clone(), without_absent(value)))
                .collect(),
        ),
        Value::Array(items) => items.iter().filter(|item| !is_absent(item)).map(without_absent).collect(),
        other => other.clone(),
    }
}

fn remove_field(members: &mut Object, path: &[crate::mapping::plan::Name]) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        members.shift_remove(&**first);
    } else if let Some(Value::Object(inner)) = members.get_mut(&**first) {
        remove_field(inner, rest);
        if inner.is_empty() {
            members.shift_remove(&**first);
        }
    }
}
