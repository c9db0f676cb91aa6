//! The ledger as other rooms use it: open, commit, watch. Cheap to clone; the last clone to go ends the commit thread,
//! which leaves a checkpoint behind.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp, TimestampRound, Unit};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Hash, LedgerError, MemoryFolds, Outcome, Proposal,
    bodies::{Bodies, INLINE_LIMIT},
    commit::{self, Job, Writer},
    log::Log,
    media::{Disk, Media},
    open::{self, Lock, Opened},
    order::WaitOrder,
    store::Store,
};
use crate::clock::SharedClock;

/// Where the folds are kept.
#[derive(Clone, Debug, Default)]
pub enum Folds {
    /// In sled, in the ledger's folder.
    #[default]
    Sled,
    /// In memory: for tests and the simulation.
    Memory(MemoryFolds),
}

/// Where groups are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writing {
    /// By a thread of the ledger's own.
    #[default]
    Thread,
    /// By a task of the runtime that opens the ledger, which then blocks while the disk is busy: for the simulation.
    Task,
}

/// How a ledger is kept.
#[derive(Clone)]
pub struct Options {
    /// Time and ids.
    pub clock: SharedClock,
    /// `Check::Backlog` refuses while so many syncs wait to be sent.
    pub max_backlog: u64,
    /// Told why the process must stop. The default says so on stderr and ends the process with exit code 2.
    pub on_fatal: Arc<dyn Fn(&str) + Send + Sync>,
    /// The disk.
    pub media: Arc<dyn Media>,
    /// A log segment is full at this length, in bytes.
    pub segment_bytes: u64,
    /// Where the folds are kept.
    pub folds: Folds,
    /// Where groups are written.
    pub writing: Writing,
    /// Free bytes that are never used; the default is an eighth of what is free at the start, 1 to 16 MiB.
    pub reserve_bytes: Option<u64>,
}

impl Options {
    /// The defaults.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            max_backlog: 1_000_000,
            on_fatal: Arc::new(|why| {
                eprintln!("liaison: {}", LedgerError::Stopped(why.to_owned()));
                std::process::exit(2);
            }),
            media: Arc::new(Disk),
            segment_bytes: 64 * 1024 * 1024,
            folds: Folds::Sled,
            writing: Writing::Thread,
            reserve_bytes: None,
        }
    }
}

/// What readers and the commit thread share.
pub(super) struct Core {
    pub folder: PathBuf,
    pub options: Options,
    pub log: Log,
    pub bodies: Bodies,
    pub store: Arc<dyn Store>,
    pub head: watch::Sender<u64>,
    pub order: WaitOrder,
    reserve: u64,
    full: AtomicBool,
    syncs: AtomicU64,
    stopped: OnceLock<String>,
    _lock: Lock,
}

impl Core {
    pub(super) fn stopped(&self) -> Option<String> {
        self.stopped.get().cloned()
    }

    /// The process must stop: says why, and refuses everything from now on.
    pub(super) fn stop(&self, why: &str) -> LedgerError {
        if self.stopped.set(why.to_owned()).is_ok() {
            tracing::error!(why, "the ledger stopped");
            (self.options.on_fatal)(why);
        }
        LedgerError::Stopped(why.to_owned())
    }

    /// Now, to the millisecond.
    pub(super) fn now(&self) -> Timestamp {
        let now = self.options.clock.now();
        now.round(TimestampRound::new().smallest(Unit::Millisecond).mode(jiff::RoundMode::Trunc)).unwrap_or(now)
    }

    /// There is room to begin something.
    pub(super) fn room_for(&self, size: u64) -> Result<(), LedgerError> {
        self.room_beyond(self.reserve, size)
    }

    /// There is room to write down how something ended: half of the reserve is for that.
    pub(super) fn room_for_endings(&self, size: u64) -> Result<(), LedgerError> {
        self.room_beyond(self.reserve / 2, size)
    }

    fn room_beyond(&self, reserve: u64, size: u64) -> Result<(), LedgerError> {
        let free = self.options.media.free(&self.folder);
        let free = free.map_err(|source| super::media::io_error("measure", &self.folder, source))?;
        // The folds grow about as much as the log.
        let needed = reserve + size * 2;
        self.note_room(free >= needed, free);
        if free < needed { Err(LedgerError::DiskFull { free, needed }) } else { Ok(()) }
    }

    /// Said once when the disk becomes full, and once when there is room again.
    fn note_room(&self, is_room: bool, free: u64) {
        if self.full.swap(!is_room, Ordering::Relaxed) == is_room {
            let folder = self.folder.display();
            if is_room {
                tracing::info!(%folder, free, "there is room on the ledger's disk again");
            } else {
                tracing::error!(%folder, free, "the ledger's disk is full: nothing new is taken on until there is room");
            }
        }
    }

    /// A write that failed for want of room is told as that.
    pub(super) fn as_disk_full(&self, why: LedgerError) -> LedgerError {
        match why {
            LedgerError::Io { source, .. }
                if matches!(source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) =>
            {
                LedgerError::DiskFull { free: 0, needed: self.reserve }
            }
            other => other,
        }
    }

    pub(super) fn moved(&self, seq: u64, at: Timestamp) {
        self.order.made(at);
        self.head.send_replace(seq);
    }

    pub(super) fn count_syncs(&self, count: u64) {
        self.syncs.fetch_add(count, Ordering::Relaxed);
    }
}

/// Ends the commit thread with the last clone.
struct Hold {
    core: Arc<Core>,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// The ledger.
#[derive(Clone)]
pub struct Ledger {
    hold: Arc<Hold>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("folder", &self.hold.core.folder).field("head", &self.head()).finish()
    }
}

impl Ledger {
    /// Opens the ledger in this folder, or makes it; verifies what follows the last checkpoint, cuts what a crash left
    /// unconfirmed, and brings the folds up to date. Blocks.
    ///
    /// # Errors
    /// [`LedgerError::InUse`], [`LedgerError::Damaged`], [`LedgerError::Io`].
    pub fn open(folder: &Path, options: Options) -> Result<Self, LedgerError> {
        let opened = open::open(folder, &options)?;
        Self::start(folder, options, opened)
    }

    pub(super) fn start(folder: &Path, options: Options, opened: Opened) -> Result<Self, LedgerError> {
        let Opened { lock, log, bodies, store, tip, front } = opened;
        let free = options.media.free(folder).unwrap_or(u64::MAX);
        let reserve = options.reserve_bytes.unwrap_or_else(|| (free / 8).clamp(1 << 20, 16 << 20));
        let head_at = if tip.seq == 0 { None } else { Some(log.entry(tip.seq)?.at) };
        let core = Arc::new(Core {
            order: WaitOrder::new(head_at),
            folder: folder.to_owned(),
            options,
            log,
            bodies,
            store,
            head: watch::Sender::new(tip.seq),
            reserve,
            full: AtomicBool::new(false),
            syncs: AtomicU64::new(0),
            stopped: OnceLock::new(),
            _lock: lock,
        });
        let writer = Writer::new(Arc::clone(&core), tip, front)?;
        let (jobs, inbox) = mpsc::channel(1024);
        let thread = match core.options.writing {
            Writing::Thread => {
                let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || writer.run(inbox));
                Some(thread.map_err(|source| super::media::io_error("start the writer of", folder, source))?)
            }
            Writing::Task => {
                tokio::spawn(writer.follow(inbox));
                None
            }
        };
        Ok(Self { hold: Arc::new(Hold { core, jobs: Some(jobs), thread }) })
    }

    pub(super) fn core(&self) -> &Core {
        &self.hold.core
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.core().folder
    }

    /// The last entry's sequence.
    #[must_use]
    pub fn head(&self) -> u64 {
        *self.core().head.borrow()
    }

    /// Follows [`Self::head`]: changes once a group, when it is on disk and in the folds.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.core().head.subscribe()
    }

    /// Why it stopped, if it did.
    #[must_use]
    pub fn stopped(&self) -> Option<String> {
        self.core().stopped()
    }

    /// How often fdatasync was called since the start.
    #[must_use]
    pub fn syncs_done(&self) -> u64 {
        self.core().syncs.load(Ordering::Relaxed)
    }

    /// There is room to write.
    ///
    /// # Errors
    /// [`LedgerError::DiskFull`], [`LedgerError::Stopped`].
    pub fn is_ready(&self) -> Result<(), LedgerError> {
        match self.stopped() {
            Some(why) => Err(LedgerError::Stopped(why)),
            None => self.core().room_for(0),
        }
    }

    /// Commits a proposal: on `Ok` it is on disk (or was there already).
    ///
    /// # Errors
    /// What did not hold, or why nothing could be written. After an error nothing of it is in the ledger, but for
    /// [`LedgerError::Stopped`], after which that is unknown until the restart.
    pub async fn commit(&self, proposal: Proposal) -> Result<Outcome, LedgerError> {
        let erased = erased(&proposal);
        let (job, answer) = if proposal.bodies.iter().any(|bytes| bytes.len() > INLINE_LIMIT) {
            let this = self.clone();
            self.blocking(move || this.job(proposal)).await??
        } else {
            self.job(proposal)?
        };
        let jobs = self.hold.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(job).await.map_err(|_| gone())?;
        let outcome = answer.await.map_err(|_| gone())??;
        self.forget(erased)?;
        self.answered(outcome)
    }

    /// [`Self::commit`] outside of async code.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn commit_blocking(&self, proposal: Proposal) -> Result<Outcome, LedgerError> {
        let erased = erased(&proposal);
        let (job, answer) = self.job(proposal)?;
        let jobs = self.hold.jobs.as_ref().ok_or_else(gone)?;
        jobs.blocking_send(job).map_err(|_| gone())?;
        let outcome = answer.blocking_recv().map_err(|_| gone())??;
        self.forget(erased)?;
        self.answered(outcome)
    }

    /// What was committed before is answered by its entry.
    fn answered(&self, outcome: Outcome) -> Result<Outcome, LedgerError> {
        match outcome {
            Outcome::Replayed(receipt) => Ok(Outcome::Replayed(self.with_answer(receipt)?)),
            other => Ok(other),
        }
    }

    /// The one place where work that blocks leaves the runtime's threads; in the simulation it is done at once.
    ///
    /// # Errors
    /// Where the work panicked.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LedgerError> {
        match self.core().options.writing {
            Writing::Task => Ok(work()),
            Writing::Thread => tokio::task::spawn_blocking(work)
                .await
                .map_err(|_| LedgerError::Folds("work beside the runtime panicked".to_owned())),
        }
    }

    /// Names the bodies and puts large ones in their files.
    fn job(
        &self,
        mut proposal: Proposal,
    ) -> Result<(Job, oneshot::Receiver<Result<Outcome, LedgerError>>), LedgerError> {
        let mut bodies: Vec<(Hash, Bytes)> = Vec::with_capacity(proposal.bodies.len());
        for bytes in std::mem::take(&mut proposal.bodies) {
            let hash = Hash::of(&bytes);
            if bytes.len() > INLINE_LIMIT {
                self.core().room_for(bytes.len() as u64)?;
                let name = self.core().options.clock.new_id().to_string();
                let kept = self.core().bodies.keep_large(&hash, &bytes, &name);
                kept.map_err(|why| self.core().as_disk_full(why))?;
            } else {
                bodies.push((hash, bytes));
            }
        }
        let (answer, waiting) = oneshot::channel();
        Ok((Job { proposal, bodies, answer }, waiting))
    }

    /// After the entry that says so is on disk, the bytes go.
    fn forget(&self, erased: Option<Hash>) -> Result<(), LedgerError> {
        erased.map_or(Ok(()), |hash| self.core().bodies.erase(&*self.core().store, &hash))
    }

    /// The clock's now plus a delay; for callers that show when something is due.
    #[must_use]
    pub fn after(&self, delay: SignedDuration) -> Option<Timestamp> {
        self.core().now().checked_add(delay).ok()
    }
}

fn erased(proposal: &Proposal) -> Option<Hash> {
    if commit::erases(proposal) { proposal.drafts.first().and_then(|draft| draft.body) } else { None }
}

fn gone() -> LedgerError {
    LedgerError::Stopped("its writer is gone".to_owned())
}
