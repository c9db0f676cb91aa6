//! A contained resource behind a reference (`contained:`): it comes and goes with the reference.
//! <https://hl7.org/fhir/R4/references.html#contained>

use serde_json::{Value, json};

use super::{
    navigate,
    put::{Failure, Put, scope},
};
use crate::{
    fhir::Object,
    mapping::{
        plan::{Kind, Name, Rule},
        transform::{Element, Env},
    },
};

fn id_of(reference: &Value) -> Option<&str> {
    reference.get("reference")?.as_str()?.strip_prefix('#').filter(|id| !id.is_empty())
}

fn is(contained: &Value, id: &str, kind: &Name) -> bool {
    contained.get("id").is_some_and(|own| own == id) && contained.get("resourceType").is_some_and(|own| own == &**kind)
}

/// The contained resource that a reference points to, if it is of this type.
pub(super) fn find<'a>(reference: &Value, kind: &Name, env: &Env<'a>) -> Option<&'a Object> {
    let id = id_of(reference)?;
    let mut lists = env.resources.iter().filter_map(|resource| resource.get("contained")?.as_array());
    lists.find_map(|list| list.iter().find(|contained| is(contained, id, kind)))?.as_object()
}

/// Writes the contained resource and the reference to it; without `new` both go.
pub(super) fn write(
    new: Option<&Value>,
    old: Option<&Value>,
    object: &mut Object,
    rule: &Rule,
    put: &mut Put<'_>,
) -> Result<(), Failure> {
    let Kind::Contained { resource, prefix, scope: inner } = &rule.kind else { return Ok(()) };
    let env = put.env;
    navigate::edit_element(object, &rule.target, new.is_some(), &env, &mut |element| {
        let id = element.value.as_ref().and_then(id_of).map(str::to_owned);
        let at = id.and_then(|id| put.contained.iter().position(|contained| is(contained, &id, resource)));
        let Some(new) = new else {
            if let Some(at) = at {
                put.contained.remove(at);
            }
            *element = Element::default();
            return Ok(());
        };
        let (mut members, at) = match at {
            Some(at) => (put.contained[at].as_object().cloned().unwrap_or_default(), at),
            None => {
                let id = free_id(&put.contained, prefix);
                let mut members = Object::new();
                members.insert("resourceType".to_owned(), resource.as_ref().into());
                members.insert("id".to_owned(), id.as_str().into());
                members.extend(inner.template.clone());
                element.value = Some(json!({ "reference": format!("#{id}") }));
                put.contained.push(Value::Null);
                (members, put.contained.len() - 1)
            }
        };
        scope(new, old, &mut members, inner, put);
        put.contained[at] = Value::Object(members);
        Ok(())
    })
}

fn free_id(contained: &[Value], prefix: &Name) -> String {
    let taken = |id: &str| contained.iter().any(|other| other.get("id").is_some_and(|own| own == id));
    let numbered = (2..).map(|number| format!("{prefix}-{number}"));
    std::iter::once(String::from(&**prefix)).chain(numbered).find(|id| !taken(id)).unwrap_or_default()
}
