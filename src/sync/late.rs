//! References that came before what they name: they stay as the EHR wrote them until their target is taken in, and become
//! logical then, so that the object is found by it and can go to other systems. And records that are not in use any more.

use serde_json::{Map, Value, json};

use super::{
    Error, identity, inbound::Topic, prepare::Held, puller::Puller, record::Trouble, recorder::Taking, setup::System,
};
use crate::{
    ledger::{ItemKind, SyncRow, SyncState},
    mapping::Standing,
};

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

impl Puller {
    /// A record that says for the first time that it is not in use any more, or that another one is in its place, is a question.
    pub async fn tell_out_of_use(&self, topic: &Topic, before: &Value, after: &Value) -> Result<(), Error> {
        let Some(kind) = self.translator.mappings.now().object(topic.object.as_str()).cloned() else { return Ok(()) };
        let standing = kind.standing(after);
        if standing == Standing::Live || standing == kind.standing(before) {
            return Ok(());
        }
        let (object, system) = (&topic.object, &topic.system);
        let sentence = match standing {
            Standing::ReplacedBy(_) => format!(
                "At {system} this {object} was merged into another record, which takes its place in what is sent from now on."
            ),
            _ => format!("At {system} this {object} is marked as not in use any more."),
        };
        let trouble = Trouble::new(ItemKind::Identity, "LIA-SYNC-032", sentence)
            .cause(&[system.as_str(), object.as_str()])
            .about(object, &topic.id)
            .subject(format!("{system} {object} {} standing", topic.id));
        self.recorder.ask(system, &trouble, None).await
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
