//! Records of ours that an EHR's lists do not show any more: each is read, and one that is not there is a question, because
//! nothing tells a deletion otherwise. Where none of those that we know best is there, it is not they that went: the EHR
//! behind the address is another one, and sending that kind stops.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    Error,
    puller::Puller,
    record::{self, Trouble},
    recorder::line_of,
    setup::System,
};
use crate::{
    domain::ObjectName,
    ehr::{self, Failure, Page, Seen},
    ledger::{ItemKind, PartRow, SyncState},
    mapping::MAIN,
};

/// So many of which none is there any more are another EHR.
const BEST_KNOWN: usize = 3;
/// So many that a list did not show are read in a round: after a list of everything, and else.
const READ: (usize, usize) = (50, 5);

/// What a round's lists showed of a type.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// `Type/id`.
    pub references: BTreeSet<String>,
    /// All there is was listed.
    pub is_all: bool,
    /// What the EHR's clock said with the first page, where it says so.
    pub at: Option<Timestamp>,
}

impl Shown {
    /// One page more.
    pub fn note(&mut self, page: &Page) {
        let names = page.resources.iter().filter_map(|resource| Seen::name(resource));
        self.references.extend(names.map(|(kind, id)| format!("{kind}/{id}")));
        // What cannot be read may be one of ours.
        self.is_all &= page.unreadable.is_empty() && page.ends.is_none();
    }
}

impl Puller {
    /// A history says that this was deleted.
    pub async fn deleted(&self, system: &System, reference: &str) -> Result<(), Error> {
        let linked = self.recorder.ledger.linked_at(system.name(), reference)?;
        for part in linked.iter().filter(|part| part.part == MAIN) {
            self.look_whether_there(system, part, true).await?;
        }
        Ok(())
    }

    /// Looks after what is linked and was not shown.
    pub async fn look_after(&self, system: &System, kind: &str, shown: &Shown) -> Result<(), Error> {
        let mut linked: Vec<PartRow> = self.recorder.ledger.linked(system.name(), kind)?;
        linked.retain(|part| part.part == MAIN);
        let all = linked.len();
        linked.retain(|part| !shown.references.contains(&part.reference));
        linked.sort_by_key(|part| std::cmp::Reverse(part.seq));
        let best = &linked[..linked.len().min(BEST_KNOWN)];
        if linked.len() == all && best.len() == BEST_KNOWN && self.is_another(system, best).await? {
            return Ok(());
        }
        let many = if shown.is_all { READ.0 } else { READ.1 };
        for part in self.next_of(system, kind, &linked, many) {
            self.look_whether_there(system, &part, shown.is_all).await?;
        }
        Ok(())
    }

    /// Those whose turn it is: where not all can be read in one round, the others are in the next.
    fn next_of(&self, system: &System, kind: &str, missing: &[PartRow], many: usize) -> Vec<PartRow> {
        let mut in_order: Vec<&PartRow> = missing.iter().collect();
        in_order.sort_by(|a, b| a.reference.cmp(&b.reference));
        let after = self.looked_at(|at| at.get(&(system.name().clone(), kind.to_owned())).cloned()).unwrap_or_default();
        let first = in_order.iter().position(|part| part.reference > after).unwrap_or(0);
        in_order.rotate_left(first);
        in_order.truncate(many);
        if let Some(last) = in_order.last() {
            let at = ((system.name().clone(), kind.to_owned()), last.reference.clone());
            self.looked_at(|all| all.insert(at.0, at.1));
        }
        in_order.into_iter().cloned().collect()
    }

    /// Whether none of these is there any more; then a person is asked, and sending that kind stops until she answers.
    async fn is_another(&self, system: &System, best: &[PartRow]) -> Result<bool, Error> {
        let object = &best[0].object;
        let line = line_of(system.name(), object);
        let last = self.recorder.ledger.last_item(&line)?;
        if last.as_ref().is_some_and(|item| item.code == "LIA-SYNC-027" && item.is_answered()) {
            return Ok(false);
        }
        for part in best {
            let Some((kind, id)) = part.reference.split_once('/') else { return Ok(false) };
            match system.read(&self.translator.clock, kind, id).await {
                Err(failure) if failure.kind == ehr::Kind::Gone => {}
                _ => return Ok(false),
            }
        }
        self.recorder.ask(system.name(), &another(system, object), None).await?;
        Ok(true)
    }

    /// Reads a record that a list did not show.
    async fn look_whether_there(&self, system: &System, part: &PartRow, certain: bool) -> Result<(), Error> {
        let row = self.recorder.ledger.sync(&part.sync_id)?;
        let under_way = |state| matches!(state, SyncState::Sending | SyncState::Unknown);
        if self.rests(system, &part.reference) || row.is_none_or(|row| under_way(row.state())) {
            return Ok(());
        }
        let Some((kind, id)) = part.reference.split_once('/') else { return Ok(()) };
        match system.read(&self.translator.clock, kind, id).await {
            Ok(seen) => {
                self.readable(system, &part.reference).await?;
                if let Some(body) = seen.body {
                    self.take_in(system, body).await?;
                }
                Ok(())
            }
            Err(failure) if failure.concerns_all() => Ok(()),
            Err(failure) if failure.kind == ehr::Kind::Gone => self.not_there(system, part, &failure, certain).await,
            Err(failure) => self.unreadable(system, &part.reference, &failure).await,
        }
    }

    /// Reading a record of ours says that it is not there. One 404 alone may be a slip, unless a list says the same.
    pub async fn not_there(
        &self,
        system: &System,
        part: &PartRow,
        failure: &Failure,
        certain: bool,
    ) -> Result<(), Error> {
        if !certain && failure.status != Some(410) && !self.is_missed_again(system, &part.reference) {
            return Ok(());
        }
        let Some(row) = self.recorder.ledger.sync(&part.sync_id)? else { return Ok(()) };
        self.readable(system, &part.reference).await?;
        self.recorder.gone(system, &row, &record::gone(&part.object, system.name())).await
    }
}

fn another(system: &System, object: &ObjectName) -> Trouble {
    let name = system.name();
    let sentence = format!(
        "Of the records of kind {object} that are known best at {name}, none is there any more: the address seems to lead to \
         another EHR. Nothing more of that kind is sent there."
    );
    Trouble::new(ItemKind::Rejected, "LIA-SYNC-027", sentence)
        .cause(&[name.as_str(), object.as_str(), "another"])
        .subject(line_of(name, object))
}
