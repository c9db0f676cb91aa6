//! From the internal object into FHIR. A rule writes only where the object says something else than the resource does;
//! `old` is what the resource says now, none for a new one.

use std::borrow::Cow;

use serde_json::Value;

use super::{absent, contained, get, is_absent, list, make, navigate, normalise};
use crate::{
    error::Finding,
    fhir::{Object, canonically_equal},
    mapping::{
        plan::{Direction, Kind, Rule, Scope},
        transform::{Element, Env, Transform, Unsayable},
    },
};

/// A value that could not be written, and where it stands below the scope.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) pointer: String,
    pub(crate) why: Unsayable,
}

impl Failure {
    pub(super) fn within(mut self, step: &str) -> Self {
        self.pointer = format!("/{}{}", step.replace('~', "~0").replace('/', "~1"), self.pointer);
        self
    }
}

impl From<Unsayable> for Failure {
    fn from(why: Unsayable) -> Self {
        Self { pointer: String::new(), why }
    }
}

impl From<Failure> for Finding {
    fn from(failure: Failure) -> Self {
        Self {
            pointer: failure.pointer,
            code: failure.why.code.to_owned(),
            detail: failure.why.what,
            remedy: failure.why.remedy,
        }
    }
}

/// What goes along while writing: the surroundings, and the contained resources of the resource being written.
pub(crate) struct Put<'a> {
    pub(crate) env: Env<'a>,
    pub(crate) contained: Vec<Value>,
    pub(crate) failures: Vec<Failure>,
}

/// Writes `new` over `old` by all rules of a scope. Failures are collected in `put`.
pub(crate) fn scope(new: &Value, old: Option<&Value>, object: &mut Object, scope: &Scope, put: &mut Put<'_>) {
    for rule in &scope.rules {
        let before = put.failures.len();
        if let Err(failure) = self::rule(new, old, object, rule, put) {
            put.failures.push(failure);
        }
        if put.failures.len() == before {
            continue;
        }
        for failure in put.failures.drain(before..).collect::<Vec<_>>() {
            let failure = rule.internal.iter().rev().fold(failure, |failure, name| failure.within(name));
            put.failures.push(failure);
        }
    }
}

/// The value of a rule's field, with the default for an absent one; none if the rule's condition does not hold.
pub(super) fn said<'v>(internal: &'v Value, rule: &'v Rule) -> Option<&'v Value> {
    if rule.condition.as_ref().is_some_and(|condition| !condition.holds(internal)) {
        return None;
    }
    let found = if rule.internal.is_empty() {
        Some(internal).filter(|value| !is_absent(value))
    } else {
        internal.as_object().and_then(|members| super::field(members, &rule.internal))
    };
    found.or(rule.default.as_ref())
}

pub(super) fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => canonically_equal(a, b),
        (None, None) => true,
        _ => false,
    }
}

fn rule(new: &Value, old: Option<&Value>, object: &mut Object, rule: &Rule, put: &mut Put<'_>) -> Result<(), Failure> {
    if rule.direction == Direction::ToInternal {
        return Ok(());
    }
    if let Kind::Compute(_) | Kind::Fixed(_) = rule.kind {
        return derived(new, old, object, rule, put);
    }
    let fresh = old.is_none();
    let old = old.and_then(|old| said_before(old, rule));
    let new = said(new, rule);
    if same(new, old) {
        if let (Some(reason), true, None) = (&rule.absent, fresh, new) {
            absent::mark(object, rule, reason, &put.env);
        }
        return Ok(());
    }
    if let Some(new) = new.filter(|_| fresh)
        && make::rule(new, object, rule, put)?
    {
        return Ok(());
    }
    if rule.absent.is_some() && old.is_none() && !fresh {
        absent::unmark(object, rule, &put.env);
    }
    match &rule.kind {
        Kind::Leaf(transform) => leaf(new, old, object, rule, transform, put)?,
        Kind::Group(inner) => group(new, old, object, rule, inner, put)?,
        Kind::Contained { .. } => contained::write(new, old, object, rule, put)?,
        Kind::Values(_) | Kind::Each { .. } => list::write(new, old, object, rule, put)?,
        Kind::Compute(_) | Kind::Fixed(_) => {}
    }
    if new.is_none() {
        remove_all(object, rule, put)?;
        if let Some(reason) = &rule.absent {
            absent::mark(object, rule, reason, &put.env);
        }
    }
    Ok(())
}

/// What the resource says already; `get` filled in the default.
fn said_before<'v>(old: &'v Value, rule: &Rule) -> Option<&'v Value> {
    if rule.internal.is_empty() {
        return Some(old);
    }
    old.as_object().and_then(|members| super::field(members, &rule.internal))
}

fn leaf(
    new: Option<&Value>,
    old: Option<&Value>,
    object: &mut Object,
    rule: &Rule,
    transform: &Transform,
    put: &mut Put<'_>,
) -> Result<(), Failure> {
    let env = put.env;
    let new = match new.and_then(|value| transform.normal(value, &env)) {
        Some(normal) => Some(Cow::Owned(normal)),
        None => new.map(Cow::Borrowed),
    };
    if old.is_some() && same(new.as_deref(), old) {
        return Ok(());
    }
    navigate::edit_element(object, &rule.target, new.is_some(), &env, &mut |element| {
        transform.put(new.as_deref(), old, element, &env).map_err(Failure::from)
    })
}

fn group(
    new: Option<&Value>,
    old: Option<&Value>,
    object: &mut Object,
    rule: &Rule,
    inner: &Scope,
    put: &mut Put<'_>,
) -> Result<(), Failure> {
    let env = put.env;
    navigate::edit_element(object, &rule.target, new.is_some(), &env, &mut |element| {
        let Some(new) = new else {
            *element = Element::default();
            return Ok(());
        };
        let mut members = match element.value.take() {
            Some(Value::Object(members)) => members,
            _ => inner.template.clone(),
        };
        scope(new, old, &mut members, inner, put);
        element.value = (!members.is_empty()).then_some(Value::Object(members));
        Ok(())
    })
}

/// A field that is gone must be gone from every item that it could be read from.
fn remove_all(object: &mut Object, rule: &Rule, put: &mut Put<'_>) -> Result<(), Failure> {
    let env = put.env;
    for _ in 0..10_000 {
        let Some(left) = get::rule(object, rule, &env) else { return Ok(()) };
        match &rule.kind {
            Kind::Leaf(transform) => leaf(None, Some(&left), object, rule, transform, put)?,
            Kind::Group(inner) => group(None, Some(&left), object, rule, inner, put)?,
            Kind::Contained { .. } => contained::write(None, Some(&left), object, rule, put)?,
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// Computed values and constants with a condition: written where they change with the object.
fn derived(
    new: &Value,
    old: Option<&Value>,
    object: &mut Object,
    rule: &Rule,
    put: &mut Put<'_>,
) -> Result<(), Failure> {
    let value = |internal: &Value| {
        if rule.condition.as_ref().is_some_and(|condition| !condition.holds(internal)) {
            return None;
        }
        match &rule.kind {
            Kind::Compute(expression) => expression.compute(internal),
            Kind::Fixed(constant) => Some(constant.clone()),
            _ => None,
        }
    };
    let (new, old) = (value(new), old.and_then(value));
    if same(new.as_ref(), old.as_ref()) {
        return Ok(());
    }
    let env = put.env;
    navigate::edit_element(object, &rule.target, new.is_some(), &env, &mut |element| {
        // What somebody else has put there since is theirs.
        if new.is_some() || same(element.value.as_ref(), old.as_ref()) {
            element.value.clone_from(&new);
        }
        Ok(())
    })
}

/// The normal form of a list's item, by the rule's kind.
pub(super) fn normal_item<'v>(item: &'v Value, rule: &Rule, env: &Env<'_>) -> Cow<'v, Value> {
    match &rule.kind {
        Kind::Values(transform) => transform.normal(item, env).map_or(Cow::Borrowed(item), Cow::Owned),
        Kind::Each { scope: inner, .. } => Cow::Owned(normalise::scope(item, inner, env)),
        _ => Cow::Borrowed(item),
    }
}
