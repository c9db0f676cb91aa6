//! References that came before what they name: they stay as the EHR wrote them until their target is taken in, and become
//! logical then, so that the object is found by it and can go to other systems.

use serde_json::{Map, Value, json};

use super::{Error, identity, inbound::Topic, prepare::Held, puller::Puller, recorder::Taking, setup::System};
use crate::ledger::{SyncRow, SyncState};

impl Puller {
    /// Makes the references of an object logical whose targets are known by now. Only where nothing of it is under way.
    pub async fn name_targets(
        &self,
        system: &System,
        topic: &Topic,
        row: Option<&SyncRow>,
        held: &[Held],
    ) -> Result<(), Error> {
        if row.is_none_or(|row| row.state() != SyncState::Synced) {
            return Ok(());
        }
        let Some(object) = self.recorder.ledger.object(&topic.object, &topic.id)? else { return Ok(()) };
        let mut value = self.translator.object_body(&object)?;
        let theirs = |reference: &str| {
            let mut bodies = held.iter().filter_map(|held| held.body.as_ref());
            bodies.any(|body| identity::names(body, &system.own, reference))
        };
        let known = |text: &str| {
            let (kind, id) = system.own.own(text)?;
            let reference = format!("{kind}/{id}");
            let whose = self.translator.known_as(&reference, system)?;
            theirs(&reference).then_some(whose)
        };
        if !name(&mut value, &known) {
            return Ok(());
        }
        let remark = " What it refers to is known now.";
        let (version, value) = (object.version, &value);
        let taking = Taking { version, value, seen: Vec::new(), back: false, overruled: &[], remark, linked: None };
        self.recorder.apply(topic, taking).await
    }
}

/// Whether any reference was made logical.
fn name(node: &mut Value, known: &dyn Fn(&str) -> Option<identity::Whose>) -> bool {
    match node {
        Value::Object(members) => {
            let whose = members.get("reference").and_then(Value::as_str).and_then(known);
            if let Some((object, id)) = whose {
                let mut logical = Map::new();
                logical.insert("object".to_owned(), json!(object.as_str()));
                logical.insert("id".to_owned(), json!(id.as_str()));
                logical.extend(members.shift_remove("display").map(|display| ("display".to_owned(), display)));
                *members = logical;
                return true;
            }
            members.values_mut().fold(false, |named, value| name(value, known) | named)
        }
        Value::Array(items) => items.iter_mut().fold(false, |named, item| name(item, known) | named),
        _ => false,
    }
}
