//! What is read again after a write: whatever the object's mapping names under `reread:` (a slot after a booking, a
//! move or a cancellation). A target that two living objects hold at once is a matter for a person.

use super::{
    identity::{self, Held},
    inbound::Topic,
    prepare::Subject,
    record::{LIAISON, Trouble, with},
    setup::{Inner, System},
};
use crate::{
    error::Explained as _,
    ledger::{ItemKind, Proposal, SyncRow},
    mapping::MAIN,
};

impl Inner {
    /// Reads again what the object's rules name. The write itself is done and recorded; failures here are logged and
    /// the next pull sees the same.
    pub async fn look_again(&self, system: &System, row: &SyncRow, subject: &Subject) {
        let Some(kind) = self.mappings.now().object(row.object.as_str()).cloned() else { return };
        for rule in kind.reread() {
            let pointer = format!("/{}", rule.field.replace('.', "/"));
            let Some(field) = subject.ours.pointer(&pointer) else { continue };
            for (_, whose) in identity::references(field) {
                let topic = Topic::new(&whose.0, &whose.1, system.name());
                if let Err(code) = self.reread_one(system, &topic).await {
                    tracing::warn!(system = %system.name(), code, "a record could not be read again");
                }
                if rule.exclusive
                    && let Err(code) = self.shared(row, subject, &rule.field, &topic).await
                {
                    tracing::warn!(system = %system.name(), code, "double booking could not be checked");
                }
            }
        }
    }

    async fn reread_one(&self, system: &System, topic: &Topic) -> Result<(), &'static str> {
        let parts = self.ledger.parts(&topic.sync).map_err(|error| error.code())?;
        let Some(main) = parts.into_iter().find(|part| part.part == MAIN) else { return Ok(()) };
        let Some((kind, id)) = main.reference.split_once('/') else { return Ok(()) };
        let seen = self.ask(system, system.client.read(kind, id)).await.map_err(|failure| failure.code())?;
        if let Some(body) = seen.body {
            self.take_in(system, body).await.map_err(|error| error.code())?;
        }
        Ok(())
    }

    /// Asks a person where another living object holds the same target.
    async fn shared(&self, row: &SyncRow, subject: &Subject, field: &str, topic: &Topic) -> Result<(), &'static str> {
        if subject.cancelled {
            return Ok(());
        }
        let by = Held::Reference(field.to_owned());
        let target = (topic.object.to_string(), topic.id.to_string());
        let holders = self.index.holders(&self.ledger, &row.object, &by, &target).map_err(|error| error.code())?;
        let mut living = 0;
        for id in &holders {
            let object = self.ledger.object(&row.object, id).map_err(|error| error.code())?;
            living += usize::from(object.is_some_and(|object| !object.cancelled));
        }
        if living < 2 {
            return Ok(());
        }
        let sentence = format!("{living} entries hold the same {} at {}.", topic.object, row.system);
        let trouble = Trouble::new(ItemKind::Slot, "LIA-SYNC-016", sentence)
            .cause(&[row.system.as_str(), topic.object.as_str()])
            .subject(format!("{} {} {}", row.system, topic.object, topic.id));
        let (draft, detail) = trouble.parked(LIAISON);
        let mut draft = draft.system(&row.system);
        draft.object = Some(topic.object.clone());
        draft.object_id = Some(topic.id.clone());
        self.ledger.commit(with(Proposal::of(draft), detail)).await.map_err(|error| error.code())?;
        Ok(())
    }
}
