//! What people decide: assign, comment, dismiss, retry, resolve, one by one or for all that share a cause. Everything
//! that is sent afterwards goes the usual way, as things stand then: a replay never sends older data over newer.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{
    Action, Choice, Engine, Error, GroupRetry,
    inbound::Topic,
    puller::Puller,
    record,
    recorder::{Recorder, line_in},
    setup::System,
    translator::Translator,
};
use crate::{
    domain::SystemName,
    error::Finding,
    ledger::{Check, Draft, Fact, Hash, ItemKind, ItemRow, Proposal, SyncState},
};

/// What people decide, carried out.
pub(super) struct Desk {
    pub translator: Arc<Translator>,
    pub recorder: Arc<Recorder>,
    pub puller: Arc<Puller>,
}

impl Engine {
    /// Does what a person decided about an item; on disk when it returns.
    ///
    /// # Errors
    /// [`Error::NoItem`], [`Error::Closed`], [`Error::Decision`], or [`Error::Invalid`] where it still cannot be sent.
    pub async fn act(&self, item: &str, action: Action, by: &str) -> Result<(), Error> {
        self.parts.desk.act(item, action, by).await
    }

    /// What retrying a group would do; nothing is changed.
    ///
    /// # Errors
    /// [`Error::NoItem`] where the group has no open item.
    pub fn preview_group(&self, group: &str) -> Result<GroupRetry, Error> {
        self.parts.desk.preview_group(group)
    }

    /// Retries all of a group that can be sent now.
    ///
    /// # Errors
    /// As [`Engine::preview_group`].
    pub async fn retry_group(&self, group: &str, by: &str) -> Result<GroupRetry, Error> {
        self.parts.desk.retry_group(group, by).await
    }
}

impl Desk {
    /// Does what a person decided about an item; on disk when it returns.
    ///
    /// # Errors
    /// [`Error::NoItem`], [`Error::Closed`], [`Error::Decision`], or [`Error::Invalid`] where it still cannot be sent.
    pub async fn act(&self, item: &str, action: Action, by: &str) -> Result<(), Error> {
        let item = self.recorder.ledger.item(item)?.ok_or(Error::NoItem)?;
        if !item.status.is_open() {
            return Err(Error::Closed);
        }
        match action {
            Action::Assign { to } => {
                let fact = Fact::Assigned { item: item.id.clone(), to };
                self.note(&item, Draft::new(fact, by, "Given to somebody."), None).await
            }
            Action::Comment { text } => {
                let fact = Fact::Commented { item: item.id.clone() };
                self.note(&item, Draft::new(fact, by, "A remark was made."), Some(text)).await
            }
            Action::Dismiss { reason, send_without } => {
                if reason.trim().is_empty() {
                    return Err(Error::Decision("say in \"reason\" why nothing needs doing".to_owned()));
                }
                if let Some(line) = line_in(&item) {
                    self.recorder.forget_line(line);
                }
                let fact = Fact::Dismissed { item: item.id.clone(), send_without };
                let draft = Draft::new(fact, by, "Closed without sending.");
                let left = self.left_different(&item, by)?;
                self.note_with(&item, draft, left, Some(reason)).await
            }
            Action::Retry => self.retry(&item, by).await,
            Action::Resolve { note, fields } => self.resolve(&item, note, &fields, by).await,
        }
    }

    /// What retrying a group would do; nothing is changed.
    ///
    /// # Errors
    /// [`Error::NoItem`] where the group has no open item.
    pub fn preview_group(&self, group: &str) -> Result<GroupRetry, Error> {
        let mut items = self.recorder.ledger.group(group)?;
        if items.is_empty() {
            return Err(Error::NoItem);
        }
        items.sort_by_key(|item| item.created_seq);
        let mut outcome = GroupRetry::default();
        for item in items {
            let findings = self.still_wrong(&item)?;
            let row = item.sync_id.as_ref().map_or(Ok(None), |id| self.recorder.ledger.sync(id))?;
            if row.is_some_and(|row| row.state() == SyncState::Synced || row.state().is_pending()) {
                outcome.superseded.push(item.id);
            } else if findings.is_empty() {
                outcome.items.push(item.id);
            } else {
                outcome.findings.insert(item.id, findings);
            }
        }
        Ok(outcome)
    }

    /// Retries all of a group that can be sent now.
    ///
    /// # Errors
    /// As [`Engine::preview_group`].
    pub async fn retry_group(&self, group: &str, by: &str) -> Result<GroupRetry, Error> {
        let mut outcome = self.preview_group(group)?;
        let mut retried = Vec::with_capacity(outcome.items.len());
        for item in std::mem::take(&mut outcome.items) {
            match self.act(&item, Action::Retry, by).await {
                Ok(()) => retried.push(item),
                // Somebody closed it meanwhile.
                Err(Error::Closed) => outcome.superseded.push(item),
                Err(Error::Invalid(findings)) => {
                    outcome.findings.insert(item, findings);
                }
                Err(error) => return Err(error),
            }
        }
        outcome.items = retried;
        Ok(outcome)
    }

    async fn note(&self, item: &ItemRow, draft: Draft, text: Option<String>) -> Result<(), Error> {
        self.note_with(item, draft, None, text).await
    }

    /// Notes what a person did, and what else follows of it.
    async fn note_with(
        &self,
        item: &ItemRow,
        draft: Draft,
        further: Option<Draft>,
        text: Option<String>,
    ) -> Result<(), Error> {
        let mut draft = self.about(item, draft)?;
        let text = text.map(Bytes::from);
        draft.body = text.as_deref().map(Hash::of);
        let proposal = further.into_iter().fold(Proposal::of(draft), Proposal::and);
        let proposal = proposal.check(Check::ItemOpen(item.id.clone()));
        self.recorder.ledger.commit(record::with(proposal, text)).await?;
        Ok(())
    }

    pub(super) fn about(&self, item: &ItemRow, draft: Draft) -> Result<Draft, Error> {
        let mut draft = draft.cause(item.created_seq);
        draft.system.clone_from(&item.system);
        draft.sync_id.clone_from(&item.sync_id);
        if let (Some(object), Some(id)) = (&item.object, &item.object_id) {
            let version = self.recorder.ledger.object(object, id)?.map_or(0, |row| row.version);
            draft = draft.about(object, id, version);
        }
        Ok(draft)
    }

    /// What still keeps an item's object from being sent.
    fn still_wrong(&self, item: &ItemRow) -> Result<Vec<Finding>, Error> {
        let (ItemKind::Rejected, Some(object), Some(id), Some(system)) =
            (item.kind, &item.object, &item.object_id, item.system.as_ref().and_then(|name| self.system(name)))
        else {
            return Ok(Vec::new());
        };
        let Some(row) = self.recorder.ledger.object(object, id)? else { return Ok(Vec::new()) };
        let body = self.translator.object_body(&row)?;
        Ok(self.translator.translate(object, &body, system)?.findings)
    }

    pub(super) fn system(&self, name: &SystemName) -> Option<&System> {
        self.translator.systems.get(name).map(AsRef::as_ref)
    }

    async fn retry(&self, item: &ItemRow, by: &str) -> Result<(), Error> {
        if let (ItemKind::Slot, Some(system)) = (item.kind, item.system.as_ref().and_then(|name| self.system(name))) {
            return self.puller.look_at_target(system, item).await;
        }
        if item.sync_id.is_none() {
            return self.look_at_received(item, by).await;
        }
        let findings = self.still_wrong(item)?;
        if !findings.is_empty() {
            return Err(Error::Invalid(findings));
        }
        let fact = Fact::Retried { item: item.id.clone() };
        self.note(item, Draft::new(fact, by, "To be tried again."), None).await
    }

    /// Reads what was received once more and takes it in; the item closes unless it is still not understood.
    async fn look_at_received(&self, item: &ItemRow, by: &str) -> Result<(), Error> {
        let system = item.system.as_ref().and_then(|name| self.system(name));
        let reference =
            item.subject.as_deref().and_then(|subject| subject.rsplit_once(' ')).map(|(_, reference)| reference);
        if let Some(line) = line_in(item) {
            return self.line_goes_on(item, line, by).await;
        }
        if let (Some(system), true) = (system, is_watched(item)) {
            // Asked now rather than later; the question closes by itself.
            system.circuit(super::retry::Circuit::succeeded);
            let fact = Fact::Commented { item: item.id.clone() };
            return self.note(item, Draft::new(fact, by, "It is tried again now."), None).await;
        }
        let (Some(system), Some((kind, id))) = (system, reference.and_then(|reference| reference.split_once('/')))
        else {
            return Err(Error::Decision("there is nothing to fetch again; dismiss it".to_owned()));
        };
        let inner = &self.translator;
        self.puller.forget(item.subject.as_deref().unwrap_or_default());
        let seen = system.read(&inner.clock, kind, id).await;
        match seen.map(|seen| seen.body) {
            Ok(Some(body)) => {
                self.puller.take_in(system, body).await?;
            }
            Ok(None) => {}
            Err(failure) => return Err(Error::Decision(failure.message)),
        }
        let now = self.recorder.ledger.item(&item.id)?;
        if now.is_some_and(|now| now.seq != item.seq || !now.status.is_open()) {
            return Ok(());
        }
        let fact = Fact::Resolved { item: item.id.clone(), send: false, remotes: Vec::new() };
        self.note(item, Draft::new(fact, by, "Fetched again and taken in."), None).await
    }

    /// What was stopped because too many alike were refused is sent again.
    async fn line_goes_on(&self, item: &ItemRow, line: &str, by: &str) -> Result<(), Error> {
        self.recorder.forget_line(line);
        let fact = Fact::Resolved { item: item.id.clone(), send: false, remotes: Vec::new() };
        self.note(item, Draft::new(fact, by, "Sending of this kind goes on."), None).await
    }

    async fn resolve(
        &self,
        item: &ItemRow,
        note: String,
        fields: &BTreeMap<String, Choice>,
        by: &str,
    ) -> Result<(), Error> {
        let system = item.system.as_ref().and_then(|name| self.system(name));
        if let (ItemKind::Conflict, Some(object), Some(id), Some(system)) =
            (item.kind, &item.object, &item.object_id, system)
        {
            let topic = Topic::new(object, id, system.name());
            return self.resolve_conflict(item, &topic, system, note, fields, by).await;
        }
        if !fields.is_empty() {
            return Err(Error::Decision("this item has no fields to decide".to_owned()));
        }
        if let (ItemKind::Slot, Some(system)) = (item.kind, system) {
            // What can be looked at is looked at; in order, it closes by itself.
            let looked = self.puller.look_at_target(system, item).await;
            if self.recorder.ledger.item(&item.id)?.is_some_and(|item| !item.status.is_open()) {
                return looked;
            }
        }
        if note.trim().is_empty() {
            let why = "nothing is sent by this: say in \"note\" what was done, or use retry to send it";
            return Err(Error::Decision(why.to_owned()));
        }
        if let Some(line) = line_in(item) {
            self.recorder.forget_line(line);
        }
        let fact = Fact::Resolved { item: item.id.clone(), send: false, remotes: Vec::new() };
        self.note(item, Draft::new(fact, by, "Settled by a person."), Some(note)).await
    }
}

/// A question that is watched: it is tried anyway, and closes by itself.
fn is_watched(item: &ItemRow) -> bool {
    item.subject.as_deref().is_some_and(|subject| subject.ends_with(" system") || subject.ends_with(" fetch"))
}
