//! What is read again after a write: whatever the object's mapping names under `reread:` (a slot after a booking, a
//! move or a cancellation), those that the version before named included. A target that two living objects hold at
//! once, or that nobody holds and that is not released, is a matter for a person; once it is as it should be, the
//! question closes by itself.

use serde_json::Value;

use super::{
    Error, identity,
    identity::{Held, Whose},
    inbound::Topic,
    prepare::Subject,
    puller::Puller,
    record::Trouble,
    setup::System,
};
use crate::{
    domain::ObjectName,
    error::Explained as _,
    ledger::{ItemKind, ItemRow, SyncRow},
    mapping::{MAIN, Reread},
};

impl Puller {
    /// Reads again what the object's rules name, in what was sent now and in what was sent before (`row` is the sync as
    /// it stood before the write). The write itself is done and recorded; failures here are logged and the next pull
    /// sees the same.
    pub async fn look_again(&self, system: &System, row: &SyncRow, subject: &Subject) {
        let topic = Topic::of(row);
        if let Err(error) = self.judge_again(&topic).await {
            tracing::warn!(system = %system.name(), code = error.code(), "an open question could not be looked at again");
        }
        let Some(kind) = self.translator.mappings.now().object(row.object.as_str()).cloned() else { return };
        if kind.reread().is_empty() {
            return;
        }
        // As this system had it before what is sent now; what cannot be read any more names nothing.
        let before = row.synced_version.and_then(|version| self.translator.version_of(row, version).ok()?);
        for rule in kind.reread() {
            let mut targets = references(rule, &subject.ours);
            targets.extend(before.iter().flat_map(|before| references(rule, before)));
            targets.sort();
            targets.dedup();
            for (object, id) in targets {
                let target = Topic::new(&object, &id, system.name());
                if let Err(error) = self.reread_one(system, &target).await {
                    tracing::warn!(system = %system.name(), code = error.code(), "a record could not be read again");
                    continue;
                }
                if let Err(error) = self.judge(&target).await {
                    tracing::warn!(system = %system.name(), code = error.code(), "a slot could not be judged");
                }
            }
        }
    }

    /// Reads a target whose state a person was asked about, and judges it once more.
    pub async fn look_at_target(&self, system: &System, item: &ItemRow) -> Result<(), Error> {
        let (Some(object), Some(id)) = (&item.object, &item.object_id) else {
            return Err(Error::Decision("it is not said what to look at; dismiss it".to_owned()));
        };
        let target = Topic::new(object, id, system.name());
        self.reread_one(system, &target).await?;
        self.judge(&target).await
    }

    /// Something arrived here or there: a question that is open about it may have answered itself.
    pub async fn judge_again(&self, topic: &Topic) -> Result<(), Error> {
        if self.recorder.ledger.open_item(&about(topic))?.is_some_and(|item| item.kind == ItemKind::Slot) {
            self.judge(topic).await?;
        }
        Ok(())
    }

    async fn reread_one(&self, system: &System, target: &Topic) -> Result<(), Error> {
        let parts = self.recorder.ledger.parts(&target.sync)?;
        let Some(main) = parts.into_iter().find(|part| part.part == MAIN) else { return Ok(()) };
        let Some((kind, id)) = main.reference.split_once('/') else { return Ok(()) };
        let seen = system.read(&self.translator.clock, kind, id).await;
        let seen = seen.map_err(|failure| Error::Decision(failure.message))?;
        if let Some(body) = seen.body {
            self.take_in(system, body).await?;
        }
        Ok(())
    }

    /// Asks a person where a target is held twice or was not released; closes the question where it is in order.
    async fn judge(&self, target: &Topic) -> Result<(), Error> {
        let mappings = self.translator.mappings.now();
        let mut sentence = None;
        for kind in mappings.objects() {
            let Ok(holder) = ObjectName::new(kind.name()) else { continue };
            for rule in kind.reread().iter().filter(|rule| rule.exclusive) {
                sentence = sentence.or(self.wrong(&holder, rule, target)?);
            }
        }
        let open = self.recorder.ledger.open_item(&about(target))?;
        let Some(sentence) = sentence else {
            if open.is_some_and(|item| item.kind == ItemKind::Slot) {
                self.recorder.answered(&about(target), "It is in order at the EHR now.").await?;
            }
            return Ok(());
        };
        if open.is_none_or(|item| item.what_happened != sentence) {
            let what = sentence.clone();
            let trouble = Trouble::new(ItemKind::Slot, "LIA-SYNC-016", sentence)
                .cause(&[target.system.as_str(), target.object.as_str()])
                .cause_more(&what)
                .about(&target.object, &target.id)
                .subject(about(target));
            self.recorder.ask(&target.system, &trouble, None).await?;
        }
        Ok(())
    }

    /// What is wrong with a target, as far as one rule of one kind of holder says.
    fn wrong(&self, holder: &ObjectName, rule: &Reread, target: &Topic) -> Result<Option<String>, Error> {
        let key = (target.object.to_string(), target.id.to_string());
        let holders =
            self.translator.index.holders(&self.recorder.ledger, holder, &Held::Reference(rule.field.clone()), &key)?;
        let mut living = 0;
        for id in &holders {
            living += usize::from(self.recorder.ledger.object(holder, id)?.is_some_and(|object| !object.cancelled));
        }
        if living >= 2 {
            return Ok(Some(format!("{living} entries hold the same {} at {}.", target.object, target.system)));
        }
        if living == 1 || rule.released.is_empty() {
            return Ok(None);
        }
        let Some(row) = self.recorder.ledger.object(&target.object, &target.id)? else { return Ok(None) };
        let Some(body) = row.body.as_ref() else { return Ok(None) };
        let body = self.translator.read_body(body)?;
        let taken = rule.released.iter().find(|(field, words)| {
            let said = body.get(field.as_str()).and_then(Value::as_str);
            said.is_some_and(|said| !words.iter().any(|word| word == said))
        });
        Ok(taken.map(|(field, _)| {
            format!(
                "No {holder} holds this {} any more, but its {field} at {} does not say so.",
                target.object, target.system
            )
        }))
    }
}

fn references(rule: &Reread, internal: &Value) -> Vec<Whose> {
    let field = internal.pointer(&super::merge::pointer(&rule.field));
    field.map(identity::references).unwrap_or_default().into_iter().map(|(_, whose)| whose).collect()
}

/// The subject of the question about a target: one is open at a time.
fn about(target: &Topic) -> String {
    format!("{} {} {}", target.system, target.object, target.id)
}
