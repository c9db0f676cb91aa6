//! Writing where nothing stands yet: most of what is sent. No looking for what might be there, no taking out and
//! putting back; whatever is not that simple goes the general way (`put`), and comes to the same.

use serde_json::Value;

use super::{
    navigate,
    put::{Failure, Put, scope},
};
use crate::{
    fhir::{Object, member},
    mapping::{
        plan::{Kind, Leaf, Name, Rule, Scope, Selector},
        transform::Element,
    },
};

/// Writes `new` if the rule's element is a plain member that is not there; otherwise `false`.
pub(super) fn rule(new: &Value, object: &mut Object, rule: &Rule, put: &mut Put<'_>) -> Result<bool, Failure> {
    let vacant = |object: &Object, name: &Name| member(object, name).is_none();
    match (&rule.kind, &rule.target.leaf, rule.target.steps.as_slice()) {
        (Kind::Leaf(transform), Leaf::Member { name, beside, siblings }, [])
            if vacant(object, name) && beside.as_ref().is_none_or(|beside| vacant(object, beside)) =>
        {
            let mut element = Element::default();
            transform.make(new, &mut element, &put.env)?;
            insert(object, name, element.value);
            if let Some(beside) = beside {
                insert(object, beside, element.beside);
            }
            navigate::remove_siblings(object, siblings, name);
        }
        (Kind::Group(inner), Leaf::Member { name, siblings, .. }, []) if vacant(object, name) => {
            insert(object, name, self::object(new, inner, put));
            navigate::remove_siblings(object, siblings, name);
        }
        (Kind::Values(_) | Kind::Each { .. }, Leaf::List { name, beside, select }, [])
            if vacant(object, name) && beside.as_ref().is_none_or(|beside| vacant(object, beside)) =>
        {
            let items = new.as_array().map_or(&[][..], Vec::as_slice);
            let (values, besides) = list(items, rule, select, put)?;
            insert(object, name, values);
            if let Some(beside) = beside {
                insert(object, beside, besides);
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn insert(object: &mut Object, name: &Name, value: Option<Value>) {
    if let Some(value) = value {
        object.insert(String::from(&**name), value);
    }
}

/// A new object that says `new`; none if nothing comes of it.
fn object(new: &Value, inner: &Scope, put: &mut Put<'_>) -> Option<Value> {
    let mut members = room(new, &inner.template);
    scope(new, None, &mut members, inner, put);
    (!members.is_empty()).then_some(Value::Object(members))
}

/// A copy of a template with room for what an object will add.
fn room(new: &Value, template: &Object) -> Object {
    let mut members = Object::with_capacity(template.len() + new.as_object().map_or(0, Object::len));
    members.extend(template.iter().map(|(name, value)| (name.clone(), value.clone())));
    members
}

/// A new list, and what stands beside its items if anything does.
fn list(
    items: &[Value],
    rule: &Rule,
    select: &Selector,
    put: &mut Put<'_>,
) -> Result<(Option<Value>, Option<Value>), Failure> {
    let (mut values, mut besides) = (Vec::with_capacity(items.len()), Vec::new());
    for (index, item) in items.iter().filter(|item| !super::is_absent(item)).enumerate() {
        let element = self::item(item, index, rule, select, put)?;
        if element.value.is_none() && element.beside.is_none() {
            continue;
        }
        if element.beside.is_some() {
            besides.resize(values.len(), Value::Null);
            besides.extend(element.beside);
        }
        values.push(element.value.unwrap_or(Value::Null));
    }
    if !besides.is_empty() {
        besides.resize(values.len(), Value::Null);
    }
    let some = |list: Vec<Value>| (!list.is_empty()).then_some(Value::Array(list));
    let any = values.iter().any(|value| !value.is_null());
    Ok((some(values).filter(|_| any), some(besides)))
}

/// A new item of a list.
pub(super) fn item(
    new: &Value,
    index: usize,
    rule: &Rule,
    select: &Selector,
    put: &mut Put<'_>,
) -> Result<Element, Failure> {
    let env = put.env;
    let mut element = Element::default();
    let begun = !select.template.is_empty() || select.own;
    match &rule.kind {
        Kind::Values(transform) => {
            if begun {
                element.value = Some(Value::Object(select.new_item(env.object, env.context)));
            }
            transform
                .put(Some(new), None, &mut element, &env)
                .map_err(|why| Failure::from(why).within(&index.to_string()))?;
        }
        Kind::Each { scope: inner, .. } => {
            let mut members = if begun { select.new_item(env.object, env.context) } else { room(new, &Object::new()) };
            let before = put.failures.len();
            scope(new, None, &mut members, inner, put);
            if put.failures.len() > before {
                for failure in put.failures.drain(before..).collect::<Vec<_>>() {
                    put.failures.push(failure.within(&index.to_string()));
                }
            }
            element.value = (!members.is_empty()).then_some(Value::Object(members));
        }
        _ => {}
    }
    Ok(element)
}
