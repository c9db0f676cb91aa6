//! From FHIR to the internal object: each rule reads its element; what the object cannot say is passed over.

use serde_json::Value;

use super::{absent, contained, list, navigate, set_field};
use crate::{
    fhir::Object,
    mapping::{
        plan::{Direction, Kind, Rule, Scope},
        transform::Env,
    },
};

/// What the rules of a scope read from an object; none if they find nothing.
pub(crate) fn scope(object: &Object, scope: &Scope, env: &Env<'_>) -> Option<Value> {
    let mut internal = Object::new();
    for rule in &scope.rules {
        if rule.direction == Direction::ToFhir {
            continue;
        }
        let Some(value) = self::rule(object, rule, env).or_else(|| rule.default.clone()) else { continue };
        if rule.internal.is_empty() {
            return Some(value);
        }
        set_field(&mut internal, &rule.internal, value);
    }
    (!internal.is_empty()).then_some(Value::Object(internal))
}

/// What one rule reads, without its default.
pub(super) fn rule(object: &Object, rule: &Rule, env: &Env<'_>) -> Option<Value> {
    match &rule.kind {
        Kind::Leaf(transform) => {
            let element = navigate::element(object, &rule.target, env)?;
            if rule.absent.is_some() && absent::is_marker(element) {
                return None;
            }
            fitting(transform.get(element, env).filter(|value| !super::is_absent(value)), rule, env)
        }
        Kind::Group(inner) => {
            let element = navigate::element(object, &rule.target, env)?;
            if rule.absent.is_some() && absent::is_marker(element) {
                return None;
            }
            scope(element.value?.as_object()?, inner, env)
        }
        Kind::Contained { resource, scope: inner, .. } => {
            let element = navigate::element(object, &rule.target, env)?;
            scope(contained::find(element.value?, resource, env)?, inner, env)
        }
        Kind::Values(_) | Kind::Each { .. } => {
            let values = list::read(object, rule, env);
            (!values.is_empty()).then(|| Value::Array(values))
        }
        Kind::Compute(_) | Kind::Fixed(_) => None,
    }
}

/// As much of a value as the object can say.
pub(super) fn fitting(value: Option<Value>, rule: &Rule, env: &Env<'_>) -> Option<Value> {
    match rule.fit.as_ref().filter(|_| env.checked) {
        Some(fit) => fit.taken(value?),
        None => value,
    }
}
