//! Whether what a rule reads is something that the object's own schema takes. What is read must be able to be sent back, so a
//! value that the schema refuses is one that the object cannot say: it is passed over, and stays in the resource like an
//! unknown code. Of a value with members (a reference, a file) only those are passed over that are refused. Asked only where
//! the whole object was found wanting; what is missing or stands together wrongly is left to `ObjectType::new_faults`.

use std::sync::{Arc, OnceLock};

use super::check::Schema;
use crate::fhir::Value;

/// The schema of one field (of a list: of its items), compiled when it is first asked.
pub(crate) struct Fit {
    field: Value,
    object: Arc<Schema>,
    /// The list takes no item twice.
    pub(crate) once: bool,
    compiled: OnceLock<Option<Schema>>,
}

/// What it is belongs to the schema, which a plan's version covers.
impl std::fmt::Debug for Fit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fit")
    }
}

impl Fit {
    /// Of a field's schema within the schema of its object; `once`: it is that of a list's items, none of which stands twice.
    pub(crate) fn new(field: &Value, once: bool, object: &Arc<Schema>) -> Self {
        Self { field: field.clone(), once, object: Arc::clone(object), compiled: OnceLock::new() }
    }

    fn schema(&self) -> Option<&Schema> {
        let compile = || {
            let mut schema = self.field.clone();
            schema.as_object_mut()?.insert("$defs".to_owned(), self.object.json().get("$defs")?.clone());
            Schema::new(schema).ok()
        };
        self.compiled.get_or_init(compile).as_ref()
    }

    /// As much of a value as the schema takes; none: nothing.
    pub(crate) fn taken(&self, mut value: Value) -> Option<Value> {
        let Some(schema) = self.schema() else { return Some(value) };
        // Each round takes away a member at least.
        loop {
            if schema.is_valid(&value) {
                return Some(value);
            }
            let refused = schema.refused(&value);
            let members = value.as_object_mut()?;
            if refused.is_empty() {
                return None;
            }
            refused.iter().for_each(|name| _ = members.shift_remove(name));
            if members.is_empty() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        fhir::Value,
        mapping::{Context, Mappings},
    };

    fn read(object: &str, resource: Value) -> Value {
        let mappings = Mappings::embedded().unwrap();
        let plan = mappings.plan(object, "generic").unwrap();
        let context = Context::new("north");
        let said = plan.to_internal(std::slice::from_ref(&resource), &context);
        let parts = plan.parts(std::slice::from_ref(&resource));
        let back = plan.put(&said, &parts, &context).unwrap();
        assert_eq!(back[0].resource, resource, "writing back what was read changes nothing");
        assert_eq!(mappings.object(object).unwrap().validate(&said), [], "{said}");
        said
    }

    #[test]
    fn a_record_of_another_kind_is_named_as_the_ehr_names_it() {
        let ours = |object: &str, kind: &str| json!({ "type": kind, "identifier": { "system": format!("urn:liaison:north:{object}"), "value": "1" } });
        let said = read(
            "appointment",
            json!({ "resourceType": "Appointment", "status": "booked",
            "supportingInformation": [ours("patient", "Patient"), ours("letter", "DocumentReference"),
                { "type": "DocumentReference", "identifier": { "system": "urn:x", "value": "2" } },
                { "identifier": { "value": "no system" }, "display": "A letter" }],
            "participant": [{ "status": "accepted", "actor": { "reference": "Patient/1" } }] }),
        );
        assert_eq!(
            said["documents"],
            json!([
            { "type": "Patient", "identifier": { "system": "urn:liaison:north:patient", "value": "1" } },
            { "object": "letter", "id": "1" },
            { "object": "letter", "identifier": { "system": "urn:x", "value": "2" } },
            { "display": "A letter" }])
        );
    }

    #[test]
    fn what_the_schema_refuses_is_passed_over_and_stays() {
        let said = read(
            "patient",
            json!({ "resourceType": "Patient", "identifier": [{ "system": "the clinic", "value": "7" }, { "value": " " }],
            "name": [{ "family": "", "given": ["", "Ann", 3] }, { "text": " " }], "birthDate": "soon", "active": "yes",
            "telecom": [{ "value": "1", "rank": 0 }], "address": [{ "city": " " }],
            "generalPractitioner": [{ "reference": "Practitioner/1 2", "display": "Dr Roe" }, { "reference": "Patient 1" }] }),
        );
        assert_eq!(
            said,
            json!({ "identifiers": [{ "value": "7" }], "names": [{ "given": ["Ann"] }],
            "contact_details": [{ "value": "1" }], "usual_practitioners": [{ "display": "Dr Roe" }] })
        );
    }

    #[test]
    fn base64_and_times_are_put_in_order_inside() {
        let said = read(
            "letter",
            json!({ "resourceType": "DocumentReference", "status": "current", "date": "2026-05-04T09:30:00.1234567890123Z",
            "content": [{ "attachment": { "contentType": "pdf", "data": "aGVs\r\n bG8=\n", "title": "A letter" } }] }),
        );
        assert_eq!(said["files"], json!([{ "file": { "data": "aGVsbG8=", "title": "A letter" } }]));
        assert_eq!(said["filed_at"], "2026-05-04T09:30:00.123456789Z");
        let note = read(
            "note",
            json!({ "resourceType": "DocumentReference", "status": "current", "content": [{ "attachment": { "data": "aGVs\nbG8" } }] }),
        );
        assert_eq!(note["text"], "hello");
    }

    #[test]
    fn a_new_value_takes_the_place_of_one_that_could_not_be_said() {
        let mappings = Mappings::embedded().unwrap();
        let (plan, context) = (mappings.plan("patient", "generic").unwrap(), Context::new("north"));
        let held = json!({ "resourceType": "Patient", "birthDate": "soon", "name": [{ "given": ["", "Ann"] }],
            "generalPractitioner": [{ "reference": "a b" }, { "reference": "Practitioner/1" }] });
        let base = plan.parts(&[held]);
        let mut said = plan.said(&base, &context);
        said["birth_date"] = "1980-01-02".into();
        said["names"][0]["given"] = json!(["Ann", "Beth"]);
        said["usual_practitioners"] = json!([{ "reference": "Practitioner/2" }]);
        let written = plan.put(&said, &base, &context).unwrap();
        let resource = &written[0].resource;
        assert_eq!(resource["birthDate"], "1980-01-02");
        assert_eq!(resource["name"][0]["given"], json!(["", "Ann", "Beth"]), "what cannot be said keeps its place");
        assert_eq!(resource["generalPractitioner"], json!([{ "reference": "a b" }, { "reference": "Practitioner/2" }]));
        assert_eq!(plan.said(&written, &context), said);
    }
}
