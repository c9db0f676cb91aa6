//! What deciding came to, written down: each note becomes facts about the row as it stands by then.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Error, inbound::Topic, record, recorder::Recorder, scene::Scene, sender::Sender, setup::System, step::Note,
};
use crate::{
    ehr::Seen,
    ledger::{Fact, Hash, LedgerError, SyncRow},
    mapping::MAIN,
};

/// As good as for ever: ten years.
const WITH_A_PERSON: Duration = Duration::from_secs(10 * 365 * 86_400);

impl Sender {
    pub(super) async fn record(&self, system: &System, scene: &Scene, note: Note) -> Result<(), Error> {
        // A newer version may have come in while the EHR answered: the fact still tells of the one that was sent.
        let row = self.row_now(&scene.row)?;
        if scene.sent.is_none() && row.seq != scene.row.seq {
            return Err(Error::Ledger(LedgerError::SyncMoved));
        }
        let about = |fact, code, sentence: &str| Recorder::draft(&row, fact, code, sentence);
        match note {
            Note::Has { done, parts, named, output, sentence } => {
                self.has(system, scene, &row, (done, parts, named, output), sentence).await
            }
            Note::Later { wait_ms, code, sentence } => {
                system.evidence(|evidence| evidence.cleared(&row.id));
                let draft = about(Fact::Deferred { delay_ms: wait_ms }, code, &sentence);
                self.recorder.commit(&row, draft, Vec::new()).await
            }
            Note::Open { wait_ms, code, sentence } => {
                let draft = about(Fact::Unsettled { delay_ms: wait_ms }, Some(code), &sentence);
                self.recorder.commit(&row, draft, Vec::new()).await
            }
            Note::Waits(on) => {
                let sentence =
                    "It refers to something that has not reached the EHR yet; it follows as soon as that is there.";
                // What waits for something that is with a person needs no patience of its own: it is listed there.
                let patience = if scene.blockers_are_asked { WITH_A_PERSON } else { scene.patience };
                let fact = Fact::Waited { on, patience_ms: super::retry::millis(patience) };
                self.recorder.commit(&row, about(fact, Some("LIA-SYNC-018"), sentence), Vec::new()).await
            }
            Note::Asks(trouble) => {
                system.evidence(|evidence| evidence.cleared(&row.id));
                self.recorder.park(system, &row, &trouble).await
            }
            Note::Gone(trouble) => {
                system.evidence(|evidence| evidence.cleared(&row.id));
                self.recorder.gone(system, &row, &trouble).await
            }
            Note::Conflict { trouble, theirs } => {
                let (remote, bytes) = record::remote(MAIN, &theirs);
                let (draft, detail) = trouble.conflicted(vec![remote]);
                self.recorder.commit(&row, draft.sync(&row), vec![detail, bytes]).await
            }
            Note::Takes { value, part, seen, back } => {
                let topic = Topic::of(&row);
                let sighting = record::remote(&part, &seen);
                self.recorder.apply(&topic, scene.subject.version, &value, vec![sighting], back, "").await
            }
            Note::Spared => {
                let sentence = "Called off before it was sent: there is nothing to send.";
                self.recorder.commit(&row, about(Fact::Spared {}, None, sentence), Vec::new()).await
            }
        }
    }

    async fn has(
        &self,
        system: &System,
        scene: &Scene,
        row: &SyncRow,
        (done, parts, named, output): (bool, Vec<Seen>, Vec<String>, Option<Hash>),
        sentence: &str,
    ) -> Result<(), Error> {
        system.evidence(|evidence| evidence.cleared(&row.id));
        let carries = scene.sent.as_ref().is_some_and(|sent| sent.part.carries);
        let mut remotes = Vec::new();
        let mut bodies: Vec<Option<Bytes>> = Vec::new();
        for (seen, part) in parts.iter().zip(&named) {
            let (mut remote, bytes) = record::remote(part, seen);
            if carries {
                // The attachment is stored already.
                remote.body = None;
            }
            bodies.push(bytes.filter(|_| !carries));
            remotes.push(remote);
        }
        let mapping = Some(scene.subject.plan.version().to_owned());
        let fact = Fact::Acknowledged { done, remotes, mapping, output };
        let draft = Recorder::draft(row, fact, None, &format!("{} {sentence}.", row.system));
        self.recorder.commit(row, draft, bodies).await?;
        self.recorder.arrived(row);
        if done {
            self.puller.look_again(system, &scene.row, &scene.subject).await;
        }
        Ok(())
    }
}
