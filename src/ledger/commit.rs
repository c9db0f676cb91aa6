//! The commit thread: takes proposals in groups, alone decides whether they hold, gives sequence and hashes, writes,
//! syncs once a group, moves the folds, and only then answers. A failed sync is fatal: what the disk holds is then
//! unknown, so the process stops and the next start makes the ledger whole.

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc::Receiver, mpsc::Sender},
};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{
    Entry, Fact, Hash, LedgerError, Outcome, Proposal, Remembering,
    bodies::{Bodies, Front},
    checkpoint::{self, Checkpoint},
    decide,
    fold::Folding,
    keys,
    ledger::{Core, Writing},
    log::Segment,
    media::MediaFile,
    scan::Tip,
    store::{Applied, View},
};

/// Proposals in one group at most.
const GROUP: usize = 512;
/// Bytes of bodies in one group, about.
const GROUP_BYTES: usize = 8 * 1024 * 1024;

/// Who waits for the outcome.
type Asker = oneshot::Sender<Result<Outcome, LedgerError>>;

/// A proposal, its bodies with their names, and who waits for it.
pub(super) struct Job {
    pub proposal: Proposal,
    pub bodies: Vec<(Hash, Bytes)>,
    pub answer: Asker,
}

impl Job {
    fn size(&self) -> usize {
        1024 * self.proposal.drafts.len() + self.bodies.iter().map(|(_, bytes)| bytes.len() + 96).sum::<usize>()
    }
}

/// A second thread that syncs, so that two files are synced at the same time; ends with its owner.
struct Beside {
    work: Sender<Arc<dyn MediaFile>>,
    done: Receiver<std::io::Result<()>>,
}

impl Beside {
    fn start() -> std::io::Result<Self> {
        let (work, inbox) = std::sync::mpsc::channel::<Arc<dyn MediaFile>>();
        let (outbox, done) = std::sync::mpsc::channel();
        let sync = move || {
            for file in inbox {
                if outbox.send(file.sync()).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("ledger-bodies".to_owned()).spawn(sync)?;
        Ok(Self { work, done })
    }

    /// Syncs `other` here and `file` there.
    fn both(&self, file: Arc<dyn MediaFile>, other: &dyn MediaFile) -> std::io::Result<()> {
        let gone = || std::io::Error::other("the sync of the bodies panicked");
        self.work.send(file).map_err(|_| gone())?;
        let here = other.sync();
        let there = self.done.recv().unwrap_or_else(|_| Err(gone()));
        here.and(there)
    }
}

/// Who writes, with what it holds between groups: a value that a thread drives in earnest and a task in the simulation.
pub(super) struct Writer {
    core: Arc<Core>,
    beside: Option<Beside>,
    tip: Tip,
    front: Front,
    segment: Arc<Segment>,
    length: u64,
    checkpointed: u64,
    /// Where groups ended, so that a checkpoint can be where the folds are; the oldest first.
    ends: VecDeque<Checkpoint>,
}

/// A group as it is put together, before anything is written.
struct Group<'s> {
    view: View<'s>,
    folding: Folding,
    lines: Vec<u8>,
    ends: Vec<u64>,
    records: Vec<u8>,
    tip: Tip,
    /// When the last entry was made.
    at: jiff::Timestamp,
    answers: Vec<(Asker, Result<Outcome, LedgerError>)>,
}

impl Writer {
    pub(super) fn new(core: Arc<Core>, tip: Tip, front: Front) -> Result<Self, LedgerError> {
        let segments = core.log.segments();
        let segment = segments.last().cloned().ok_or_else(|| LedgerError::Folds("the log has no file".to_owned()))?;
        let length = segment.length()?;
        let beside = match core.options.writing {
            Writing::Task => None,
            Writing::Thread => Some(
                Beside::start()
                    .map_err(|source| super::media::io_error("start the writer of", &core.folder, source))?,
            ),
        };
        let mut writer = Self { core, beside, tip, front, segment, length, checkpointed: 0, ends: VecDeque::new() };
        writer.ends.extend(writer.mark());
        Ok(writer)
    }

    /// Works until every sender is gone.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        self.checkpoint();
        while let Some(job) = jobs.blocking_recv() {
            self.turn(job, &mut jobs);
        }
        self.end();
    }

    /// The same as a task.
    pub(super) async fn follow(mut self, mut jobs: mpsc::Receiver<Job>) {
        self.checkpoint();
        while let Some(job) = jobs.recv().await {
            self.turn(job, &mut jobs);
        }
        self.end();
    }

    /// One group: this job and what has come in behind it.
    fn turn(&mut self, job: Job, jobs: &mut mpsc::Receiver<Job>) {
        let mut size = job.size();
        let mut group = vec![job];
        while group.len() < GROUP && size < GROUP_BYTES {
            let Ok(job) = jobs.try_recv() else { break };
            size += job.size();
            group.push(job);
        }
        self.group(group, size as u64);
    }

    fn end(&mut self) {
        if self.core.stopped().is_none() {
            if let Err(why) = self.core.store.flush() {
                tracing::warn!(%why, "the folds could not be flushed");
            }
            self.checkpoint();
        }
    }

    fn group(&mut self, mut jobs: Vec<Job>, size: u64) {
        // On a disk that is nearly full nothing is begun, but how things ended is still written down.
        if let Err(full) = self.core.room_for(size) {
            let (begin, end): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.proposal.begins());
            refuse(begin, &full);
            jobs = end;
        }
        let size = jobs.iter().map(Job::size).sum::<usize>() as u64;
        if let Err(why) = self.may_write(size) {
            return refuse(jobs, &why);
        }
        let core = Arc::clone(&self.core);
        let mut group = self.put_together(&core, jobs);
        let answers = std::mem::take(&mut group.answers);
        let written = if group.ends.is_empty() { Ok(()) } else { self.write(group) };
        for (sender, answer) in answers {
            let answer = match (&written, answer) {
                (Err(why), Ok(_)) => Err(why.again()),
                (_, answer) => answer,
            };
            let _ = sender.send(answer);
        }
    }

    fn may_write(&mut self, size: u64) -> Result<(), LedgerError> {
        if let Some(why) = self.core.stopped() {
            return Err(LedgerError::Stopped(why));
        }
        self.core.room_for_endings(size)?;
        Bodies::roll(&mut self.front);
        if self.length >= self.core.options.segment_bytes {
            self.segment = self.core.log.roll(self.tip.seq + 1)?;
            self.length = 0;
        }
        Ok(())
    }

    fn put_together<'s>(&self, core: &'s Core, jobs: Vec<Job>) -> Group<'s> {
        let mut group = Group {
            view: View::over(&*core.store),
            folding: Folding::default(),
            lines: Vec::new(),
            ends: Vec::new(),
            records: Vec::new(),
            tip: self.tip,
            at: core.now(),
            answers: Vec::with_capacity(jobs.len()),
        };
        for Job { proposal, bodies, answer } in jobs {
            group.view.mark();
            let before = (group.lines.len(), group.ends.len(), group.records.len(), group.tip, group.at);
            let decided = self.take(&mut group, proposal, &bodies);
            if decided.is_err() {
                // Whoever gets an error left nothing behind: neither lines nor rows.
                group.lines.truncate(before.0);
                group.ends.truncate(before.1);
                group.records.truncate(before.2);
                (group.tip, group.at) = (before.3, before.4);
                group.view.take_back();
                group.folding = Folding::default();
            }
            group.answers.push((answer, decided));
        }
        group
    }

    fn take(
        &self,
        group: &mut Group<'_>,
        proposal: Proposal,
        bodies: &[(Hash, Bytes)],
    ) -> Result<Outcome, LedgerError> {
        if let Some(settled) = decide::decide(&group.view, &proposal, self.core.options.max_backlog)? {
            return Ok(settled);
        }
        for hash in proposal.drafts.iter().flat_map(super::Draft::bodies) {
            let given = bodies.iter().any(|(name, _)| *name == hash);
            if !given && group.view.get(&keys::body(&hash))?.is_none() && !self.core.bodies.has_file(&hash) {
                return Err(LedgerError::Body(hash));
            }
        }
        for (hash, bytes) in bodies {
            if group.view.get(&keys::body(hash))?.is_none() || group.view.get(&keys::erasure(hash))?.is_some() {
                let place = Bodies::lay_out(self.front, &mut group.records, hash, bytes);
                group.view.put(keys::body(hash), place.to_bytes());
            }
        }
        let remembering = proposal.idempotency.map(|idem| Remembering { scope: idem.scope, request: idem.request });
        let mut more = proposal.drafts.len() as u64;
        let mut receipt = None;
        for (place, draft) in proposal.drafts.into_iter().enumerate() {
            more -= 1;
            let mut entry = Entry {
                seq: group.tip.seq + 1,
                at: self.core.now(),
                group: self.tip.seq + 1,
                more,
                draft,
                idempotency: remembering.filter(|_| place == 0),
                prev: group.tip.hash,
                hash: Hash::ZERO,
            };
            // Asked before it is sealed: what cannot have happened is refused.
            receipt = group.folding.take(&mut group.view, &entry)?;
            let sealed = entry.seal(&mut group.lines);
            sealed.map_err(|bad| LedgerError::Folds(format!("an entry cannot be written: {bad}")))?;
            group.ends.push(self.length + group.lines.len() as u64);
            group.tip = Tip { seq: entry.seq, hash: entry.hash };
            group.at = entry.at;
        }
        receipt.map(Outcome::Committed).ok_or_else(|| LedgerError::Folds("an empty proposal".to_owned()))
    }

    /// Writes and syncs; on return with `Ok` the group is durable and the folds have it.
    fn write(&mut self, group: Group<'_>) -> Result<(), LedgerError> {
        let core = Arc::clone(&self.core);
        let before = self.front;
        let bodies = if group.records.is_empty() { Ok(None) } else { self.write_bodies(&group.records).map(Some) };
        let written = bodies.and_then(|bodies| {
            let wrote = self.segment.file.write_at(&group.lines, self.length);
            wrote.map_err(|source| super::media::io_error("write", &self.segment.path, source))?;
            self.segment.note_ends(self.tip.seq + 1, &group.ends)?;
            Ok(bodies)
        });
        let bodies = match written {
            Ok(bodies) => bodies,
            Err(why) => {
                // Nothing was confirmed: back to where we were, or stop.
                self.front = before;
                let cut = self.segment.cut(self.length).and_then(|()| core.bodies.make_whole(before));
                return match cut {
                    Ok(()) => Err(core.as_disk_full(why)),
                    Err(cut) => Err(core.stop(&cut.to_string())),
                };
            }
        };
        self.sync(bodies).map_err(|why| core.stop(&format!("a sync failed: {why}")))?;
        let applied = Applied { seq: group.tip.seq, hash: group.tip.hash, bodies: self.front };
        core.store.write(&group.view.into_changes(), applied).map_err(|why| core.stop(&why.to_string()))?;
        self.length += group.lines.len() as u64;
        self.tip = group.tip;
        core.moved(self.tip.seq, group.at);
        self.ends.extend(self.mark());
        if self.tip.seq >= self.checkpointed + checkpoint::EVERY {
            self.checkpoint();
        }
        Ok(())
    }

    fn write_bodies(&mut self, records: &[u8]) -> Result<Arc<dyn MediaFile>, LedgerError> {
        let core = Arc::clone(&self.core);
        core.bodies.write(&mut self.front, records)
    }

    /// Both files at once: the file system joins the two into one journal commit.
    fn sync(&self, bodies: Option<Arc<dyn MediaFile>>) -> std::io::Result<()> {
        self.core.count_syncs(1 + u64::from(bodies.is_some()));
        match (bodies, &self.beside) {
            (Some(bodies), Some(beside)) => beside.both(bodies, &*self.segment.file),
            (Some(bodies), None) => bodies.sync().and_then(|()| self.segment.file.sync()),
            (None, _) => self.segment.file.sync(),
        }
    }

    /// Where everything stands; nothing before the first entry of a file.
    fn mark(&self) -> Option<Checkpoint> {
        (self.tip.seq > 0 && self.length > 0).then(|| Checkpoint {
            seq: self.tip.seq,
            hash: self.tip.hash,
            segment: self.segment.first,
            end: self.length,
            bodies: self.front,
        })
    }

    /// Names the newest end of a group that the folds have reached: one that they have not would be of no use after a crash.
    fn checkpoint(&mut self) {
        self.checkpointed = self.tip.seq;
        let reached = match self.core.store.settled() {
            Ok(applied) => applied.seq,
            Err(why) => {
                tracing::warn!(%why, "the folds could not be flushed");
                return;
            }
        };
        let mut named = None;
        while self.ends.front().is_some_and(|end| end.seq <= reached) {
            named = self.ends.pop_front();
        }
        let Some(mark) = named else { return };
        if let Err(why) = mark.write(&*self.core.options.media, &self.core.folder) {
            tracing::warn!(%why, "the checkpoint could not be written; the next start takes longer");
        }
    }
}

fn refuse(jobs: Vec<Job>, why: &LedgerError) {
    for job in jobs {
        // A sender that is gone no longer waits: nothing to do.
        let _ = job.answer.send(Err(why.again()));
    }
}

/// Erasing is recorded first; then the bytes go.
pub(super) const fn erases(proposal: &Proposal) -> bool {
    matches!(proposal.drafts.as_slice(), [draft] if matches!(draft.fact, Fact::Erased { .. }))
}
