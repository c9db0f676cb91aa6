//! A worklist item as people read it: beside what the ledger says of it, which patient it is about, and for when.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Engine, Error, identity, identity::Whose, setup::System, translator::Translator};
use crate::{domain::Time, ledger::ItemRow};

/// What the object that is a patient is called.
const PATIENT: &str = "patient";

impl Engine {
    /// The contract's JSON of an item, with the patient it is about (by her object) and the earliest visit at stake: its
    /// object's own, that it refers to, or that of what waits for it.
    ///
    /// # Errors
    /// The ledger's.
    pub fn item_json(&self, item: &ItemRow) -> Result<Value, Error> {
        let translator = &self.parts.translator;
        let mut shown = translator.ledger.item_json(item)?;
        let waiting = identity::references(&shown["dependants"]);
        let (patient, visit) = translator.at_stake(item, waiting)?;
        shown["patient"] = json!(patient.map(|(object, id)| json!({"object": object.as_str(), "id": id.as_str()})));
        shown["visit_at"] = json!(visit.map(|at| at.to_string()));
        Ok(shown)
    }
}

impl Translator {
    /// `waiting`: what waits for it.
    fn at_stake(
        &self,
        item: &ItemRow,
        waiting: Vec<(String, Whose)>,
    ) -> Result<(Option<Whose>, Option<Timestamp>), Error> {
        let (Some(object), Some(id)) = (&item.object, &item.object_id) else {
            return Ok((self.received_of(item)?, None));
        };
        let own = (object.clone(), id.clone());
        let Some(body) = self.body_of(&own)? else { return Ok((None, None)) };
        let mut visit = self.visit_at(&own)?;
        for (_, whose) in identity::references(&body).into_iter().chain(waiting) {
            visit = [visit, self.visit_at(&whose)?].into_iter().flatten().min();
        }
        let patient = if own.0.as_str() == PATIENT { Some(own) } else { patient_of(&body) };
        Ok((patient, visit))
    }

    /// Whose record that is which was received and could not be taken in: the first patient that it names, whom we know.
    fn received_of(&self, item: &ItemRow) -> Result<Option<Whose>, Error> {
        let Some(system) = item.system.as_ref().and_then(|name| self.systems.get(name)) else { return Ok(None) };
        let body = self.ledger.entry(item.created_seq)?.and_then(|entry| entry.draft.body);
        let bytes = body.map_or(Ok(None), |hash| self.ledger.body(&hash))?;
        // What cannot be read names nobody.
        let resource = bytes.and_then(|bytes| crate::fhir::read(&bytes).ok());
        Ok(resource.and_then(|resource| self.named_in(&resource, system)))
    }

    fn named_in(&self, resource: &Value, system: &System) -> Option<Whose> {
        match resource {
            Value::Object(members) => {
                let reference = members.get("reference").and_then(Value::as_str).and_then(|text| system.own.own(text));
                let whose = reference.and_then(|(kind, id)| self.known_as(&format!("{kind}/{id}"), system));
                whose
                    .filter(|(object, _)| object.as_str() == PATIENT)
                    .or_else(|| members.values().find_map(|value| self.named_in(value, system)))
            }
            Value::Array(items) => items.iter().find_map(|item| self.named_in(item, system)),
            _ => None,
        }
    }

    /// An object as it stands; nothing where there is none, or its body was erased.
    fn body_of(&self, whose: &Whose) -> Result<Option<Value>, Error> {
        let row = self.ledger.object(&whose.0, &whose.1)?.filter(|row| row.body.is_some());
        row.map(|row| self.object_body(&row)).transpose()
    }

    /// When a visit begins; nothing where the object is none.
    fn visit_at(&self, whose: &Whose) -> Result<Option<Timestamp>, Error> {
        let mappings = self.mappings.now();
        let kind = mappings.object(whose.0.as_str()).map(|kind| kind.resource_type());
        if !matches!(kind, Some("Appointment" | "Encounter")) {
            return Ok(None);
        }
        Ok(self.body_of(whose)?.as_ref().and_then(begins))
    }
}

/// When a visit says that it begins, with an offset or in a zone.
fn begins(visit: &Value) -> Option<Timestamp> {
    let text = visit.get("start").or_else(|| visit.pointer("/time/from"))?.as_str()?;
    Time::parse(text).ok()?.instant()
}

/// The patient that an object is about: the one that it names as such, else the first.
fn patient_of(body: &Value) -> Option<Whose> {
    let patients = || identity::references(body).into_iter().filter(|(_, (object, _))| object.as_str() == PATIENT);
    let named = patients().find(|(pointer, _)| pointer == "/patient");
    named.or_else(|| patients().next()).map(|(_, whose)| whose)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patient_is_the_one_who_is_named_as_such() {
        let id = |body: Value| patient_of(&body).map(|(_, id)| id.to_string());
        let patient = |id: &str| json!({"object": "patient", "id": id});
        assert_eq!(id(json!({"recipients": [patient("a")], "patient": patient("b")})).as_deref(), Some("b"));
        let visit = json!({"participants": [{"who": {"object": "practitioner", "id": "d"}}, {"who": patient("c")}]});
        assert_eq!(id(visit).as_deref(), Some("c"));
        assert_eq!(id(json!({"patient": {"reference": "Patient/1"}})), None);
    }

    #[test]
    fn a_visit_begins_at_a_moment_however_that_is_written() {
        let moment: Timestamp = "2026-12-01T09:30:00Z".parse().unwrap();
        for start in [
            "2026-12-01T09:30:00[Europe/London]",
            "2026-12-01T10:30:00+01:00",
            "2026-12-01T09:30:00+00:00[Europe/London]",
        ] {
            assert_eq!(begins(&json!({"start": start})), Some(moment), "{start}");
        }
        assert_eq!(begins(&json!({"time": {"from": "2026-12-01T10:30:00+01:00[Europe/Berlin]"}})), Some(moment));
        assert_eq!(begins(&json!({"start": "tomorrow"})), None);
        assert_eq!(begins(&json!({})), None);
    }
}
