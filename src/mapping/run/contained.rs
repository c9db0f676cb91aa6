//! A contained resource behind a reference (`contained:`): it comes and goes with the reference.
//! <https://hl7.org/fhir/R4/references.html#contained>

use std::collections::HashSet;

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

/// Contained resources that nothing refers to any more, since the reference went with what was changed, go too: FHIR does
/// not let them stand alone (dom-3). Those that stood alone before are none of our business.
pub(crate) fn let_go(before: &Value, after: &Object, contained: &mut Vec<Value>) {
    let Some(Value::Array(was)) = before.get("contained") else { return };
    let own = |members: &Object| {
        members.iter().filter(|(name, _)| *name != "contained").fold(Vec::new(), |mut found, (_, value)| {
            names(value, &mut found);
            found
        })
    };
    let held = before.as_object().map(own).unwrap_or_default();
    let (held, still) = (reached(held, was), reached(own(after), contained));
    contained.retain(|resource| match resource.get("id").and_then(Value::as_str) {
        Some(id) => still.contains(id) || !held.contains(id) || owner(resource),
        None => true,
    });
}

/// Ids of what is pointed to (`#id`) anywhere below a value.
fn names(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.extend(text.strip_prefix('#').map(str::to_owned)),
        Value::Array(items) => items.iter().for_each(|item| names(item, found)),
        Value::Object(members) => members.values().for_each(|inner| names(inner, found)),
        _ => {}
    }
}

/// Ids of the contained resources that belong to what points to `open`, directly or through others.
fn reached(mut open: Vec<String>, contained: &[Value]) -> HashSet<String> {
    let mut all = HashSet::new();
    while let Some(id) = open.pop() {
        if let Some(next) = contained.iter().find(|other| other.get("id").is_some_and(|own| *own == *id))
            && all.insert(id)
        {
            names(next, &mut open);
        }
    }
    all
}

/// Whether a contained resource refers to the one that holds it.
fn owner(resource: &Value) -> bool {
    let mut found = Vec::new();
    names(resource, &mut found);
    found.iter().any(String::is_empty)
}

fn free_id(contained: &[Value], prefix: &Name) -> String {
    let taken = |id: &str| contained.iter().any(|other| other.get("id").is_some_and(|own| own == id));
    let numbered = (2..).map(|number| format!("{prefix}-{number}"));
    std::iter::once(String::from(&**prefix)).chain(numbered).find(|id| !taken(id)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::mapping::{Context, Mappings, Part};

    #[test]
    fn contained_resources_stay_as_long_as_something_refers_to_them() {
        let mappings = Mappings::embedded().unwrap();
        let (plan, context) = (mappings.plan("appointment", "generic").unwrap(), Context::new("north"));
        let held = json!({ "resourceType": "Appointment", "status": "booked",
            "contained": [
                { "resourceType": "Practitioner", "id": "dr", "qualification": [{ "code": { "text": "x" }, "issuer": { "reference": "#org" } }] },
                { "resourceType": "Organization", "id": "org", "name": "x" },
                { "resourceType": "Basic", "id": "alone", "code": { "text": "x" } },
                { "resourceType": "Provenance", "id": "why", "target": [{ "reference": "#" }] }],
            "participant": [
                { "actor": { "reference": "#dr" }, "status": "accepted" },
                { "actor": { "reference": "Patient/1" }, "status": "accepted" }] });
        let base = [Part::new("main", held.clone())];
        let ids = |resource: &serde_json::Value| -> Vec<String> {
            let all = resource["contained"].as_array().cloned().unwrap_or_default();
            all.iter().map(|inner| inner["id"].as_str().unwrap().to_owned()).collect()
        };
        let mut object = plan.said(&base, &context);
        object["comment"] = "in a wheelchair".into();
        let written = plan.put(&object, &base, &context).unwrap();
        assert_eq!(written[0].resource["contained"], held["contained"]);
        assert_eq!(written[0].resource["participant"], held["participant"]);

        // The last reference goes, and with it what only it needed.
        object["participants"].as_array_mut().unwrap().remove(0);
        let written = plan.put(&object, &base, &context).unwrap();
        assert_eq!(ids(&written[0].resource), ["alone", "why"]);
        // Another one refers to it: it stays.
        object["participants"][0]["who"] = json!({ "reference": "#dr" });
        let written = plan.put(&object, &base, &context).unwrap();
        assert_eq!(ids(&written[0].resource), ["dr", "org", "alone", "why"]);
    }
}
