//! The workers: for each system one that follows the outbox within its concurrency, its circuit and the order per
//! object, and one that pulls. What is due stands in the ledger; only the present moment is kept here.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{sync::watch, task::JoinSet, time::Instant};

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
/// So many wait for others in memory; beyond, and after this time, waiting is written down.
const MOST_WAITING: usize = 2048;
const WAIT_IN_MEMORY: Duration = Duration::from_secs(3);

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
    /// In the queue, under way or waiting: not to be fetched again.
    taken: HashSet<SyncId>,
    running: JoinSet<Ended>,
    /// Waiting for these, since when.
    waiting: HashMap<SyncId, (HashSet<SyncId>, Instant)>,
    probing: bool,
}

impl Outbox {
    fn new(inner: Arc<Inner>, system: Arc<System>) -> Self {
        Self {
            inner,
            system,
            queue: VecDeque::new(),
            taken: HashSet::new(),
            running: JoinSet::new(),
            waiting: HashMap::new(),
            probing: false,
        }
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
        self.release_overdue().await?;
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
        let pause = if self.waiting.is_empty() { Duration::from_secs(60) } else { Duration::from_millis(500) };
        Ok(next.map_or(pause, |next| next.max(Duration::from_millis(5)).min(pause)))
    }

    async fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        if std::mem::take(&mut self.probing) {
            self.system.circuit(super::retry::Circuit::undecided);
        }
        let Ok((id, ended)) = ended else { return };
        self.taken.remove(&id);
        match ended {
            Some(Ok(Step::Recorded)) => self.release(&id),
            Some(Ok(Step::Waiting(blockers))) if self.waiting.len() < MOST_WAITING => {
                self.taken.insert(id.clone());
                self.waiting.insert(id, (blockers.into_iter().collect(), Instant::now()));
            }
            Some(Ok(Step::Waiting(_))) => self.write_down(&id).await,
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

    /// Those that waited for this one may be looked at again.
    fn release(&mut self, blocker: &SyncId) {
        let freed: Vec<SyncId> = self
            .waiting
            .iter()
            .filter(|(_, (blockers, _))| blockers.contains(blocker))
            .map(|(id, _)| id.clone())
            .collect();
        for id in freed {
            self.waiting.remove(&id);
            self.queue.push_back(id);
        }
    }

    /// Those that have waited in memory for long are written down as waiting.
    async fn release_overdue(&mut self) -> Result<(), Error> {
        let overdue: Vec<SyncId> = self
            .waiting
            .iter()
            .filter(|(_, (_, since))| since.elapsed() > WAIT_IN_MEMORY)
            .map(|(id, _)| id.clone())
            .collect();
        for id in overdue {
            self.waiting.remove(&id);
            self.taken.remove(&id);
            self.write_down(&id).await;
        }
        Ok(())
    }

    async fn write_down(&self, id: &SyncId) {
        let Ok(Some(row)) = self.inner.ledger.sync(id) else { return };
        if !matches!(row.state, crate::ledger::SyncState::Accepted | crate::ledger::SyncState::Retrying) {
            return;
        }
        let code = "LIA-SYNC-018";
        let sentence = "It refers to something that has not reached the EHR yet; it follows as soon as that is there.";
        let done = match self.inner.waited(&row) {
            Ok(waited) if waited > self.system.config.give_up_after.get() => {
                let trouble = super::record::Trouble::new(crate::ledger::ItemKind::Rejected, code, sentence)
                    .cause(&[row.system.as_str(), row.object.as_str()]);
                self.inner.park(&row, &trouble).await
            }
            _ => self.later(&row, code, sentence, millis(backoff(3, None, self.inner.clock.chance()))).await,
        };
        if let Err(error) = done {
            tracing::error!(code = error.code(), sync = %id, "waiting cannot be recorded");
        }
    }

    /// A defect of one object must not spin: it waits, and others go on.
    async fn shelve(&self, id: &SyncId, code: &str) {
        let Ok(Some(row)) = self.inner.ledger.sync(id) else { return };
        let delay_ms = millis(backoff(row.attempts.max(4), None, self.inner.clock.chance()));
        let recorded = match row.state {
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
