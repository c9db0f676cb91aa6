//! What deciding came to, written down: each note becomes facts about the row as it stands by then.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Error,
    inbound::Topic,
    merge::Outcome,
    record,
    recorder::{Recorder, Taking},
    scene::Scene,
    sender::Sender,
    setup::System,
    step::{Has, Note},
};
use crate::{
    ledger::{Fact, LedgerError, Proposal, SyncRow},
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
            Note::Has(has) => self.has(system, scene, &row, has).await,
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
                let (remotes, mut bodies): (Vec<_>, Vec<_>) =
                    theirs.iter().map(|(part, seen)| record::remote(part, seen)).unzip();
                let (draft, detail) = trouble.conflicted(remotes);
                bodies.push(detail);
                self.recorder.commit(&row, draft.sync(&row), bodies).await
            }
            Note::Takes { outcome, seen, back } => {
                let topic = Topic::of(&row);
                let mut seen: Vec<_> = seen.iter().map(|(part, seen)| record::remote(part, seen)).collect();
                for (main, _) in seen.iter_mut().filter(|(remote, _)| remote.part == MAIN) {
                    main.settled = Some(outcome.settled.clone());
                }
                let overruled = if back { outcome.merged.overruled.as_slice() } else { &[] };
                let (version, value) = (scene.subject.version, &outcome.merged.value);
                let taking = Taking { version, value, seen, back, overruled, remark: "", linked: None };
                self.tell_what_it_made(&topic, scene, &outcome).await?;
                self.puller.tell_out_of_use(&topic, &scene.subject.ours, &outcome.merged.value).await?;
                self.recorder.apply(&topic, taking).await
            }
            Note::Told(trouble, then) => {
                self.recorder.ask(system.name(), &trouble, None).await?;
                Box::pin(self.record(system, scene, *then)).await
            }
            Note::Spared => {
                let sentence = "Called off before it was sent: there is nothing to send.";
                self.recorder.commit(&row, about(Fact::Spared {}, None, sentence), Vec::new()).await
            }
        }
    }

    /// Told before it is settled, so that nothing is settled untold: what an EHR does not keep, or answers again although a person wanted ours there.
    async fn tell_what_it_made(&self, topic: &Topic, scene: &Scene, outcome: &Outcome) -> Result<(), Error> {
        self.recorder.dropped(topic, outcome).await?;
        if !outcome.again.is_empty() {
            self.recorder.answered_again(topic, scene.row.last_item.as_deref()).await?;
        }
        Ok(())
    }

    async fn has(&self, system: &System, scene: &Scene, row: &SyncRow, has: Has) -> Result<(), Error> {
        system.evidence(|evidence| evidence.cleared(&row.id));
        let carries = scene.sent.as_ref().is_some_and(|sent| sent.part.carries);
        let Has { done, parts, output, as_sent, settled, sentence } = has;
        let mut remotes = Vec::new();
        let mut bodies: Vec<Option<Bytes>> = Vec::new();
        for (part, seen) in &parts {
            let (mut remote, bytes) = record::remote(part, seen);
            if carries {
                // The attachment is stored already.
                remote.body = None;
            }
            remote.sent = as_sent.is_some();
            remote.settled = settled.clone().filter(|_| part == MAIN);
            bodies.push(bytes.filter(|_| !carries));
            remotes.push(remote);
        }
        let mapping = Some(scene.subject.plan.version().to_owned());
        let fact = Fact::Acknowledged { done, remotes, mapping, output };
        let draft = Recorder::draft(row, fact, None, &format!("{} {sentence}.", row.system));
        let mut proposal = Proposal::of(draft);
        if let Some(delay_ms) = as_sent.filter(|delay_ms| *delay_ms > 0) {
            let sentence = "Its answer shows something else than what was sent; it is looked at once more.";
            proposal = proposal.and(Recorder::draft(row, Fact::Deferred { delay_ms }, Some("LIA-SYNC-028"), sentence));
        }
        let outcome = scene.compared().or(scene.answer.as_deref()).filter(|_| done);
        if let Some(outcome) = outcome {
            self.tell_what_it_made(&Topic::of(row), scene, outcome).await?;
        }
        self.recorder.propose(row, proposal, bodies).await?;
        self.recorder.arrived(row);
        if done {
            self.puller.look_again(system, &scene.row, &scene.subject).await;
        }
        Ok(())
    }
}
