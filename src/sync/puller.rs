//! Fetching what changed at an EHR: a cursor per system and type by `_lastUpdated` with overlap, a type's history where that
//! is what it offers, and sweeps compared by content, because timestamps are skewed, stale or absent. The cursor moves page
//! by page, by the EHR's own times and never past now; what could not be taken in yet is set aside in the ledger and read
//! again by itself. A type that cannot be fetched for some rounds is a question, which closes by itself.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    Error, identity,
    puzzled::Unread,
    record::{LIAISON, Trouble},
    recorder::Recorder,
    retry::{Circuit, Gate, LONGEST_REST, rest},
    setup::System,
    status::FetchStatus,
    translator::Translator,
};
use crate::{
    domain::SystemName,
    ehr::{self, Failure, PullConfig},
    error::Explained as _,
    ledger::{Draft, Fact, Hash, ItemKind, Proposal},
};

/// After so many rounds that failed a person is asked.
const FAILING: u32 = 3;
/// So many of what was set aside are looked at in a round.
const ASIDE_A_ROUND: usize = 50;

/// Fetches from all systems.
pub(super) struct Puller {
    pub translator: Arc<Translator>,
    pub recorder: Arc<Recorder>,
    /// What a list showed of records about which a person was asked: not worth a read while it is the same.
    pub known: Mutex<BTreeMap<String, Hash>>,
    /// Records that could not be read.
    pub unread: Mutex<BTreeMap<String, Unread>>,
    /// By system and type, the last one that was looked after because no list showed it.
    pub missed: Mutex<BTreeMap<(SystemName, String), String>>,
}

/// One type's state between rounds.
#[derive(Debug, Default)]
struct Course {
    /// When the first of these rounds failed.
    failing_from: Option<Duration>,
    rests_until: Option<Duration>,
    /// What was changed before this, by the EHR's clock, was listed.
    upto: Option<Timestamp>,
}

/// Why a round of a type did not end well.
pub(super) struct Failed {
    code: &'static str,
    failure: Option<Failure>,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self { code: failure.code(), failure: Some(failure) }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { code: error.code(), failure: None }
    }
}

impl Puller {
    pub fn new(translator: Arc<Translator>, recorder: Arc<Recorder>) -> Self {
        Self { translator, recorder, known: Mutex::default(), unread: Mutex::default(), missed: Mutex::default() }
    }

    /// Fetches from one system until told to stop.
    pub async fn run(self: Arc<Self>, system: Arc<System>, stop: CancellationToken) {
        let Some(pull) = system.config.pull.clone() else { return };
        let mut types = pull.types.clone();
        // Those that others refer to come first.
        types.sort_by_key(|kind| !identity::is_registered(kind));
        let mut courses: BTreeMap<String, Course> = BTreeMap::new();
        let mut round = 0_u64;
        while !stop.is_cancelled() && self.recorder.ledger.stopped().is_none() {
            for kind in &types {
                let gate = system.circuit(|circuit| circuit.gate(self.translator.clock.steady()));
                if stop.is_cancelled() || matches!(gate, Gate::Shut(_)) {
                    break;
                }
                let course = courses.entry(kind.clone()).or_default();
                // What cannot be read now is tried: it tells itself.
                if self.recorder.is_fetching_paused(&system, kind).unwrap_or(false) {
                    continue;
                }
                if course.rests_until.is_some_and(|until| until > self.translator.clock.steady()) {
                    continue;
                }
                // After an outage a fetch is as good a probe as a push, and where nothing waits to be pushed the only one.
                if gate == Gate::Probe {
                    system.circuit(Circuit::probing);
                }
                let work = async {
                    let doubtful = self.take_up(&system, kind).await?;
                    course.upto = self.pull(&system, &pull, kind, round, course.upto).await?;
                    // The EHR is well, so that it is this record that cannot be read.
                    match doubtful {
                        Some((reference, failure)) => Ok(self.unreadable(&system, &reference, &failure).await?),
                        None => Ok(()),
                    }
                };
                let ended = AssertUnwindSafe(work).catch_unwind().await;
                if gate == Gate::Probe {
                    system.circuit(Circuit::undecided);
                }
                let ended = ended.unwrap_or(Err(Failed { code: "LIA-SYNC-021", failure: None }));
                self.judge_round(&system, &pull, kind, course, ended).await;
            }
            round += 1;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pull.every.get()) => {}
            }
        }
    }

    /// What a round's end means for the next ones and for people.
    async fn judge_round(
        &self,
        system: &System,
        pull: &PullConfig,
        kind: &str,
        course: &mut Course,
        ended: Result<(), Failed>,
    ) {
        let subject = format!("{} {kind} fetch", system.name());
        let now = self.translator.clock.now();
        let failed_rounds = system.fetches(|fetches| {
            let fetch = fetches.entry(kind.to_owned()).or_default();
            *fetch = match &ended {
                Ok(()) => FetchStatus { last_success: Some(now), ..FetchStatus::default() },
                Err(failed) => FetchStatus {
                    failed: fetch.failed.saturating_add(1),
                    failing_since: fetch.failing_since.or(Some(now)),
                    code: Some(failed.code),
                    ..*fetch
                },
            };
            fetch.failed
        });
        let told = match ended {
            Ok(()) => {
                *course = Course { upto: course.upto, ..Course::default() };
                self.recorder.answered(&subject, "It could be fetched again.").await
            }
            Err(Failed { code, failure }) => {
                if failed_rounds == 1 {
                    tracing::warn!(system = %system.name(), kind, code, "a fetch failed; it is repeated");
                }
                // Ever more rarely, but not so that a person would be asked much later than is promised.
                let longest = LONGEST_REST.min(system.config.tell_after.get().max(pull.every.get()));
                let asked = failure.as_ref().and_then(|failure| failure.retry_after).unwrap_or_default();
                let rest = rest(pull.every.get(), failed_rounds, longest).max(asked);
                let steady = self.translator.clock.steady();
                course.rests_until = Some(steady.saturating_add(rest));
                // What ails the whole system is the system's question; where that is well otherwise, it is this type's.
                let from = *course.failing_from.get_or_insert(steady);
                let lately = steady.saturating_sub(pull.every.get().saturating_mul(2));
                let well = steady.saturating_sub(from) >= system.config.tell_after.get()
                    && system.health.was_well_since(from.max(lately));
                let own = failure.as_ref().filter(|failure| well || !failure.concerns_all());
                match own {
                    Some(failure) if failed_rounds >= FAILING || failure.needs_person() && !failure.concerns_all() => {
                        let sentence = format!("{kind} cannot be fetched from {}: {}", system.name(), failure.message);
                        let mut trouble = Trouble::new(ItemKind::Inbound, failure.code(), sentence)
                            .cause(&[system.name().as_str(), kind, "fetch"])
                            .subject(subject);
                        // What fails in several ways by turns is one matter.
                        trouble.whatever_code = failure.concerns_all();
                        self.recorder.ask(system.name(), &trouble, None).await
                    }
                    _ => Ok(()),
                }
            }
        };
        if let Err(error) = told {
            tracing::warn!(system = %system.name(), code = error.code(), "how a fetch ended cannot be recorded");
        }
    }

    /// Reads again what was set aside. Gives the record at which it ended because the EHR as a whole may be in trouble.
    async fn take_up(&self, system: &System, kind: &str) -> Result<Option<(String, Failure)>, Error> {
        let aside = self.recorder.ledger.set_aside(system.name(), usize::MAX)?;
        let (mut done, mut doubtful) = (Vec::new(), None);
        let of_kind = |reference: &&String| {
            reference.split_once('/').is_some_and(|(type_of, _)| type_of == kind) && !self.rests(system, reference)
        };
        for reference in aside.iter().filter(of_kind).take(ASIDE_A_ROUND) {
            let Some((kind, id)) = reference.split_once('/') else { continue };
            let read = system.read(&self.translator.clock, kind, id).await;
            match read {
                Ok(seen) => {
                    self.readable(system, reference).await?;
                    let taken = match seen.body {
                        Some(body) => self.take_in(system, body).await,
                        None => Ok(super::inbound::Taken::Done),
                    };
                    if matches!(taken, Ok(super::inbound::Taken::Done)) {
                        done.push(reference.clone());
                    }
                }
                Err(failure) if failure.kind == ehr::Kind::Gone && !self.is_ours(system, reference)? => {
                    done.push(reference.clone());
                }
                Err(failure) if failure.concerns_all() => {
                    doubtful = Some((reference.clone(), failure));
                    break;
                }
                Err(failure) => {
                    self.unreadable(system, reference, &failure).await?;
                    // What only a person can mend is not watched any more: the question stays.
                    if failure.needs_person() && failure.kind != ehr::Kind::Gone {
                        done.push(reference.clone());
                    }
                }
            }
        }
        if !done.is_empty() {
            let draft = Draft::new(Fact::TakenUp { references: done }, LIAISON, "Looked at again what was set aside.");
            self.recorder.ledger.commit(Proposal::of(draft.system(system.name()))).await?;
        }
        Ok(doubtful)
    }

    /// Whether an object of ours is linked to it.
    fn is_ours(&self, system: &System, reference: &str) -> Result<bool, Error> {
        Ok(!self.recorder.ledger.linked_at(system.name(), reference)?.is_empty())
    }

    /// Notes what is to be read again and where the cursor stands, in one.
    pub async fn note_progress(
        &self,
        system: &System,
        kind: &str,
        aside: Vec<String>,
        cursor: Option<Timestamp>,
    ) -> Result<(), Error> {
        let known =
            if aside.is_empty() { Vec::new() } else { self.recorder.ledger.set_aside(system.name(), usize::MAX)? };
        let new: Vec<String> = aside.into_iter().filter(|reference| !known.contains(reference)).collect();
        let mut drafts = Vec::new();
        if !new.is_empty() {
            let sentence = "Shown while a push of ours was under way; to be read again.";
            drafts.push(Draft::new(Fact::SetAside { references: new }, LIAISON, sentence));
        }
        if let Some(cursor) = cursor {
            let fact = Fact::CursorMoved { resource_type: kind.to_owned(), cursor: cursor.to_string() };
            drafts.push(Draft::new(fact, LIAISON, format!("Fetched {kind} from {}.", system.name())));
        }
        let drafts: Vec<Draft> = drafts.into_iter().map(|draft| draft.system(system.name())).collect();
        if drafts.is_empty() {
            return Ok(());
        }
        self.recorder.ledger.commit(Proposal { drafts, ..Proposal::default() }).await?;
        Ok(())
    }
}
