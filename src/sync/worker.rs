//! The workers: for each system one that follows the outbox within its concurrency, its circuit and the order per
//! object, and one that pulls. What is due stands in the ledger; only the present moment is kept here.

use std::{
    collections::{BTreeSet, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{sync::watch, task::JoinSet};

use super::{
    Engine, Error,
    push::Step,
    retry::{Gate, backoff, millis},
    setup::{Inner, System},
};
use crate::{
    error::Explained as _,
    ledger::{Draft, Fact, Proposal, SyncId, SyncRow},
};

/// Rows fetched from the outbox at a time.
const BATCH: usize = 512;
/// Steps under way for each request under way: while some wait for the disk, others use the network.
const AHEAD: usize = 8;

/// For so long a stop waits for what is under way; what is left then is settled after the next start.
const DRAIN: Duration = Duration::from_secs(8);

type Ended = (SyncId, Option<Result<Step, Error>>);

impl Engine {
    /// Runs the workers until `shutdown` ends, then lets what is under way finish.
    pub async fn run(&self, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(false);
        let mut workers = JoinSet::new();
        for system in self.inner.systems.values() {
            let outbox = Outbox::new(Arc::clone(&self.inner), Arc::clone(system));
            workers.spawn(outbox.run(stopped.clone()));
            workers.spawn(super::pull::run(Arc::clone(&self.inner), Arc::clone(system), stopped.clone()));
        }
        drop(stopped);
        shutdown.await;
        // No receiver is left where there is no system.
        let _ = stop.send(true);
        while workers.join_next().await.is_some() {}
    }
}

/// One system's outbox at work.
struct Outbox {
    inner: Arc<Inner>,
    system: Arc<System>,
    queue: VecDeque<SyncId>,
    /// In the queue or under way: not to be fetched again.
    taken: BTreeSet<SyncId>,
    running: JoinSet<Ended>,
    probing: bool,
}

impl Outbox {
    fn new(inner: Arc<Inner>, system: Arc<System>) -> Self {
        Self { inner, system, queue: VecDeque::new(), taken: BTreeSet::new(), running: JoinSet::new(), probing: false }
    }

    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut head = self.inner.ledger.watch();
        if let Err(error) = self.take_stock().await {
            tracing::error!(system = %self.system.name(), code = error.code(), "the outbox cannot be read");
        }
        while !*stopped.borrow() && self.inner.ledger.stopped().is_none() {
            head.borrow_and_update();
            let pause = match self.fill().await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::error!(system = %self.system.name(), code = error.code(), "the outbox cannot be read");
                    Duration::from_secs(1)
                }
            };
            tokio::select! {
                biased;
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => self.ended(ended).await,
                changed = head.changed() => if changed.is_err() { break },
                () = tokio::time::sleep(pause) => {}
                _ = stopped.changed() => {}
            }
        }
        let drained = async { while self.running.join_next().await.is_some() {} };
        // What is cut off is settled after the next start.
        let _ = tokio::time::timeout(DRAIN, drained).await;
    }

    /// After a start, what was being sent is of unknown outcome.
    async fn take_stock(&self) -> Result<(), Error> {
        for row in self.inner.ledger.in_flight(self.system.name())? {
            let sentence = "The gateway was stopped while this was being sent; it is read back.";
            self.inner.unsettled(&row, 0, "LIA-EHR-003", sentence).await?;
        }
        Ok(())
    }

    /// Starts what may be started; says how long nothing else needs doing.
    async fn fill(&mut self) -> Result<Duration, Error> {
        let now = self.inner.clock.now();
        let room = match self.system.circuit(|circuit| circuit.gate(now)) {
            Gate::Open => self.system.config.max_concurrency * AHEAD,
            Gate::Probe => 1,
            Gate::Shut(left) => return Ok(left.min(Duration::from_secs(1))),
        };
        let probe = room == 1 && self.system.circuit(|circuit| circuit.gate(now)) == Gate::Probe;
        if probe && !self.running.is_empty() {
            return Ok(Duration::from_millis(50));
        }
        let mut fetched = false;
        while self.running.len() < room {
            if self.queue.is_empty() && !fetched {
                fetched = true;
                for row in self.inner.ledger.due(self.system.name(), now, BATCH + self.taken.len())? {
                    if self.taken.insert(row.id.clone()) {
                        self.queue.push_back(row.id);
                    }
                }
            }
            let Some(id) = self.queue.pop_front() else { break };
            if probe {
                self.probing = true;
                self.system.circuit(super::retry::Circuit::probing);
            }
            let (inner, system) = (Arc::clone(&self.inner), Arc::clone(&self.system));
            self.running.spawn(async move {
                let ended = AssertUnwindSafe(inner.step(&system, &id)).catch_unwind().await.ok();
                (id, ended)
            });
        }
        let next = self.inner.ledger.next_wait_ms(self.system.name(), now)?.map(Duration::from_millis);
        let pause = Duration::from_secs(60);
        Ok(next.map_or(pause, |next| next.max(Duration::from_millis(5)).min(pause)))
    }

    async fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        if std::mem::take(&mut self.probing) {
            self.system.circuit(super::retry::Circuit::undecided);
        }
        let Ok((id, ended)) = ended else { return };
        self.taken.remove(&id);
        match ended {
            Some(Ok(Step::Recorded)) => {}
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

    /// A defect of one object must not spin: it waits, and others go on.
    async fn shelve(&self, id: &SyncId, code: &str) {
        let Ok(Some(row)) = self.inner.ledger.sync(id) else { return };
        let delay_ms = millis(backoff(row.attempts.max(4), None, self.inner.clock.chance()));
        let recorded = match row.state() {
            crate::ledger::SyncState::Accepted | crate::ledger::SyncState::Retrying => {
                self.later(&row, code, "It cannot be prepared for sending now.", delay_ms).await
            }
            crate::ledger::SyncState::Sending | crate::ledger::SyncState::Unknown => {
                self.inner.unsettled(&row, delay_ms, code, "It cannot be read back now.").await
            }
            _ => Ok(()),
        };
        if let Err(error) = recorded {
            tracing::error!(code = error.code(), sync = %id, "a failure cannot be recorded");
        }
    }

    async fn later(&self, row: &SyncRow, code: &str, sentence: &str, delay_ms: u64) -> Result<(), Error> {
        let draft = Draft::new(Fact::Deferred { delay_ms }, super::record::LIAISON, sentence).code(code).sync(row);
        self.inner.ledger.commit(Proposal::of(draft)).await?;
        Ok(())
    }
}
