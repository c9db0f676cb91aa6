//! The workers: for each system one that follows the outbox within its concurrency, its circuit and the order per
//! object, and one that pulls. What is due stands in the ledger; only the present moment is kept here.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    Engine, Error,
    record::Trouble,
    retry::{Gate, backoff, millis},
    setup::{Parts, System},
};
use crate::{
    domain::ObjectName,
    error::Explained as _,
    ledger::{Fact, ItemKind, State, SyncId},
};

/// Rows fetched from the outbox at a time.
const BATCH: usize = 512;
/// Steps under way for each request under way: while some wait for the disk, others use the network.
const AHEAD: usize = 8;

/// For so long a stop waits for what is under way; what is left then is settled after the next start.
const DRAIN: Duration = Duration::from_secs(8);

/// While the ledger cannot be written, it is tried again after this.
const LEDGER_PAUSE: Duration = Duration::from_secs(1);

type Ended = (SyncId, Option<Result<(), Error>>);

impl Engine {
    /// Runs the workers until `shutdown` ends, then lets what is under way finish.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        let stop = CancellationToken::new();
        let mut workers = JoinSet::new();
        for system in self.parts.translator.systems.values() {
            // A secret that cannot be used is told before anything waits for it.
            let (config, ledger) = (system.config.clone(), &self.parts.recorder.ledger);
            if let Ok(Err(failure)) = ledger.blocking(move || crate::ehr::check_secrets(&config)).await {
                system.heard(Some(&failure), &self.parts.translator.clock);
            }
            let outbox = Outbox::new(Arc::clone(&self.parts), Arc::clone(system));
            workers.spawn(outbox.run(stop.clone()));
            workers.spawn(Arc::clone(&self.parts.puller).run(Arc::clone(system), stop.clone()));
        }
        tokio::select! {
            biased;
            () = shutdown => {}
            () = self.ring() => {}
        }
        stop.cancel();
        while workers.join_next().await.is_some() {}
    }

    /// Tells the outboxes that the ledger moved, always in the same order; ends with the ledger.
    async fn ring(&self) {
        let mut head = self.parts.recorder.ledger.watch();
        while head.changed().await.is_ok() {
            self.parts.translator.systems.values().for_each(|system| system.bell.notify_one());
        }
    }
}

/// One system's outbox at work.
struct Outbox {
    parts: Arc<Parts>,
    system: Arc<System>,
    /// What is next; of what is to be sent, the kind.
    queue: VecDeque<(SyncId, Option<ObjectName>)>,
    /// In the queue or under way: not to be fetched again.
    taken: BTreeSet<SyncId>,
    running: JoinSet<Ended>,
    /// Whose state could not be written down: tried again, so that nothing stays `sending` for ever.
    stranded: BTreeMap<SyncId, &'static str>,
    /// The ledger cannot be written now.
    ledger_fails: bool,
    probing: bool,
}

impl Outbox {
    fn new(parts: Arc<Parts>, system: Arc<System>) -> Self {
        Self {
            parts,
            system,
            queue: VecDeque::new(),
            taken: BTreeSet::new(),
            running: JoinSet::new(),
            stranded: BTreeMap::new(),
            ledger_fails: false,
            probing: false,
        }
    }

    async fn run(mut self, stop: CancellationToken) {
        if let Err(error) = self.take_stock().await {
            self.trouble(&error);
        }
        while !stop.is_cancelled() && self.parts.recorder.ledger.stopped().is_none() {
            let pause = match self.go_on().await {
                Ok(pause) => pause,
                Err(error) => {
                    self.trouble(&error);
                    LEDGER_PAUSE
                }
            };
            // While the ledger cannot be written, its news would only make the loop spin.
            let calm = self.ledger_fails;
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => self.ended(ended).await,
                () = self.system.bell.notified(), if !calm => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        let drained = async { while self.running.join_next().await.is_some() {} };
        // What is cut off is settled after the next start.
        let _ = tokio::time::timeout(DRAIN, drained).await;
    }

    /// Says once that the ledger cannot be written or read, and why.
    fn trouble(&mut self, error: &Error) {
        if !std::mem::replace(&mut self.ledger_fails, true) {
            tracing::error!(system = %self.system.name(), code = error.code(), "the outbox waits: {error}");
        }
    }

    /// After a start, what was being sent is of unknown outcome.
    async fn take_stock(&mut self) -> Result<(), Error> {
        for row in self.parts.recorder.ledger.in_flight(self.system.name())? {
            let sentence = "The gateway was stopped while this was being sent; it is read back.";
            let fact = Fact::Unsettled { delay_ms: 0 };
            if let Err(error) = self.parts.recorder.about(&row, fact, Some("LIA-EHR-003"), sentence).await {
                self.stranded.insert(row.id, "LIA-EHR-003");
                self.trouble(&error);
            }
        }
        Ok(())
    }

    /// Writes down what could not be written, tells of the EHR's state, starts what may be started. Says how long nothing
    /// else needs doing.
    async fn go_on(&mut self) -> Result<Duration, Error> {
        for (id, code) in std::mem::take(&mut self.stranded) {
            self.shelve(&id, code).await;
        }
        if !self.stranded.is_empty() {
            return Ok(LEDGER_PAUSE);
        }
        let steady = self.parts.translator.clock.steady();
        super::health::tell(&self.parts.recorder, &self.system, steady).await?;
        let pause = self.fill()?;
        let asks_in = self.system.health.asks_in(steady, self.system.config.tell_after.get());
        if std::mem::take(&mut self.ledger_fails) {
            tracing::info!(system = %self.system.name(), "the outbox goes on");
        }
        Ok(asks_in.map_or(pause, |asks_in| pause.min(asks_in.max(Duration::from_millis(50)))))
    }

    fn fill(&mut self) -> Result<Duration, Error> {
        let (now, steady) = (self.parts.translator.clock.now(), self.parts.translator.clock.steady());
        let room = match self.system.circuit(|circuit| circuit.gate(steady)) {
            Gate::Open => self.system.config.max_concurrency * AHEAD,
            Gate::Probe => 1,
            Gate::Shut(left) => return Ok(left.clamp(Duration::from_millis(10), Duration::from_secs(1))),
        };
        let probe = room == 1 && self.system.circuit(|circuit| circuit.gate(steady)) == Gate::Probe;
        if probe && !self.running.is_empty() {
            return Ok(Duration::from_millis(50));
        }
        let (mut fetched, mut next_ms) = (false, None);
        self.leave_stopped()?;
        while self.running.len() < room {
            if self.queue.is_empty() && !fetched {
                fetched = true;
                next_ms = self.fetch(now)?;
            }
            let Some((id, _)) = self.queue.pop_front() else { break };
            if probe {
                self.probing = true;
                self.system.circuit(super::retry::Circuit::probing);
            }
            let (parts, system) = (Arc::clone(&self.parts), Arc::clone(&self.system));
            self.running.spawn(async move {
                let ended = AssertUnwindSafe(parts.sender.turn(&system, &id)).catch_unwind().await.ok();
                (id, ended)
            });
        }
        // Where nothing was fetched, what is under way ends first.
        let pause = Duration::from_secs(60);
        let next = next_ms.map(Duration::from_millis);
        Ok(next.map_or(pause, |next| next.max(Duration::from_millis(5)).min(pause)))
    }

    /// What may be sent now, but for kinds that were stopped. Gives how long until more of it may, in milliseconds.
    fn fetch(&mut self, now: jiff::Timestamp) -> Result<Option<u64>, Error> {
        let Some(stopped) = self.stopped()? else { return Ok(None) };
        let ledger = &self.parts.recorder.ledger;
        let due = ledger.due(self.system.name(), now, &stopped, BATCH + self.taken.len())?;
        for row in due.rows {
            if self.taken.insert(row.id.clone()) {
                let kind = matches!(row.standing, State::Ready { .. }).then_some(row.object);
                self.queue.push_back((row.id, kind));
            }
        }
        Ok(due.next_ms)
    }

    /// The kinds that are not sent: their line was stopped, or they are paused. Nothing where all is paused.
    fn stopped(&self) -> Result<Option<BTreeSet<ObjectName>>, Error> {
        let recorder = &self.parts.recorder;
        let paused = recorder.paused(self.system.name())?;
        if paused.all {
            return Ok(None);
        }
        let mut stopped = recorder.stopped(self.system.name())?;
        stopped.extend(paused.kinds);
        Ok(Some(stopped))
    }

    /// A line may have been stopped since these were fetched.
    fn leave_stopped(&mut self) -> Result<(), Error> {
        if self.queue.is_empty() {
            return Ok(());
        }
        let stopped = self.stopped()?;
        let taken = &mut self.taken;
        self.queue.retain(|(id, kind)| {
            let goes = stopped.as_ref().is_some_and(|stopped| kind.as_ref().is_none_or(|kind| !stopped.contains(kind)));
            if !goes {
                taken.remove(id);
            }
            goes
        });
        Ok(())
    }

    async fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        if std::mem::take(&mut self.probing) {
            self.system.circuit(super::retry::Circuit::undecided);
        }
        let Ok((id, ended)) = ended else { return };
        self.taken.remove(&id);
        match ended {
            Some(Ok(())) => {
                // Nothing stays under way with nobody at work on it.
                let row = self.parts.recorder.ledger.sync(&id).ok().flatten();
                if row.is_some_and(|row| matches!(row.standing, State::Sending { .. })) {
                    self.shelve(&id, "LIA-EHR-003").await;
                }
            }
            Some(Err(error)) if error.is_disk() => {
                self.trouble(&error);
                self.stranded.insert(id, error.code());
            }
            Some(Err(error)) => {
                tracing::error!(system = %self.system.name(), code = error.code(), sync = %id, "a step failed");
                self.shelve(&id, error.code()).await;
            }
            None => {
                tracing::error!(system = %self.system.name(), sync = %id, "a step panicked");
                self.shelve(&id, "LIA-SYNC-021").await;
            }
        }
    }

    /// A defect of one object must not spin: it waits, and others go on; after the system's patience a person is asked.
    async fn shelve(&mut self, id: &SyncId, code: &'static str) {
        let (ledger, clock) = (&self.parts.recorder.ledger, &self.parts.translator.clock);
        let Ok(Some(row)) = ledger.sync(id) else { return };
        let waited = self.parts.translator.age(row.since).unwrap_or_default();
        let is_over = waited > self.system.config.give_up_after.get();
        let delay_ms = millis(backoff(row.attempts.max(4), None, clock.chance()));
        let recorder = &self.parts.recorder;
        let recorded = match row.standing {
            State::Ready { .. } if is_over => {
                let sentence =
                    "It could not be prepared for sending for too long: a fault of the gateway or its ledger.";
                let trouble =
                    Trouble::new(ItemKind::Rejected, "LIA-SYNC-017", sentence).cause(&[row.system.as_str(), code]);
                recorder.park(&self.system, &row, &trouble).await
            }
            State::Ready { .. } => {
                let fact = Fact::Deferred { delay_ms };
                recorder.about(&row, fact, Some(code), "It cannot be prepared for sending now.").await
            }
            State::Unknown { .. } if is_over => {
                let sentence = "It could not be read back for too long: a fault of the gateway or its ledger.";
                let trouble =
                    Trouble::new(ItemKind::Unknown, "LIA-SYNC-017", sentence).cause(&[row.system.as_str(), code]);
                recorder.park(&self.system, &row, &trouble).await
            }
            State::Sending { .. } | State::Unknown { .. } => {
                let fact = Fact::Unsettled { delay_ms };
                recorder.about(&row, fact, Some(code), "It cannot be read back now.").await
            }
            _ => Ok(()),
        };
        match recorded {
            Err(Error::Ledger(why)) if why.is_race() => {}
            Err(error) => {
                self.trouble(&error);
                self.stranded.insert(id.clone(), code);
            }
            Ok(()) => {}
        }
    }
}
