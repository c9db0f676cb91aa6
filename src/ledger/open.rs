//! Opening a ledger: the lock, what follows the last checkpoint, the torn tail that a crash leaves (never confirmed,
//! so it is cut), and the folds (replayed where they lag, deleted and made anew where they are in doubt).

use std::{
    fs::{self, File, TryLockError},
    path::Path,
    sync::Arc,
};

use super::{
    Entry, Hash, LedgerError,
    bodies::{Bodies, Front, Tail},
    checkpoint::Checkpoint,
    fold::Folding,
    keys,
    log::{Log, Segment},
    media::{folder, io_error},
    scan::{self, End, Tip},
    sled_store::SledStore,
    store::{Applied, Batch, Store, View},
};

/// Entries taken into the folds at once during a replay.
const REPLAY_BATCH: usize = 512;

/// A ledger whose log is whole and whose folds have caught up.
pub(super) struct Opened {
    pub lock: File,
    pub log: Log,
    pub bodies: Bodies,
    pub store: Arc<dyn Store>,
    pub tip: Tip,
    pub front: Front,
}

/// Takes the folder's lock; it ends with the process.
pub(super) fn lock(ledger: &Path) -> Result<File, LedgerError> {
    folder(ledger)?;
    let path = ledger.join("lock");
    let file = super::bodies::create(&path).map_err(|source| io_error("open", &path, source))?;
    // A process that has just ended, or is about to become another program, may hold the lock for a moment longer.
    for _ in 0..20 {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(std::time::Duration::from_millis(25)),
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &path, source)),
        }
    }
    Err(LedgerError::InUse(ledger.to_owned()))
}

/// Opens the ledger with its folds in sled.
pub(super) fn open(ledger: &Path) -> Result<Opened, LedgerError> {
    open_locked(ledger, lock(ledger)?)
}

pub(super) fn open_locked(ledger: &Path, lock: File) -> Result<Opened, LedgerError> {
    let path = ledger.join("folds");
    match SledStore::open(&path).and_then(|store| with_store(ledger, Arc::new(store))) {
        Ok((log, bodies, store, tip, front)) => Ok(Opened { lock, log, bodies, store, tip, front }),
        Err(LedgerError::Folds(why)) => {
            tracing::warn!(why, "the ledger's folds are in doubt: they are made anew from the log");
            if path.exists() {
                fs::remove_dir_all(&path).map_err(|source| io_error("delete", &path, source))?;
            }
            let store = SledStore::open(&path)?;
            let (log, bodies, store, tip, front) = with_store(ledger, Arc::new(store))?;
            Ok(Opened { lock, log, bodies, store, tip, front })
        }
        Err(other) => Err(other),
    }
}

type Parts = (Log, Bodies, Arc<dyn Store>, Tip, Front);

/// Verifies what follows the checkpoint, cuts a torn tail, and brings this store up to the log's head.
pub(super) fn with_store(ledger: &Path, store: Arc<dyn Store>) -> Result<Parts, LedgerError> {
    let log = Log::open(ledger)?;
    let bodies = Bodies::open(ledger)?;
    let segments = log.segments();
    let applied = store.applied()?;
    let checkpoint = Checkpoint::read(ledger).filter(|mark| {
        mark.seq <= applied.seq
            && segments.iter().any(|segment| mark.fits(segment))
            && log.entry(mark.seq).is_ok_and(|entry| entry.hash == mark.hash)
    });
    let mut front = checkpoint.map_or(Front::START, |mark| mark.bodies);
    let tail = index_bodies(&bodies, &*store, &mut front, applied)?;
    let tip = verify_tail(&segments, checkpoint, |hash| bodies.has(&*store, hash), tail)?;
    match tail {
        Tail::Whole => {}
        Tail::Torn => bodies.cut(front)?,
        // Nothing in the log names what is damaged, or `verify_tail` would have said so: written, never confirmed.
        Tail::Damaged => Bodies::roll_after_damage(&mut front),
    }
    replay(&log, &*store, tip)?;
    Ok((log, bodies, store, tip, front))
}

fn index_bodies(bodies: &Bodies, store: &dyn Store, front: &mut Front, applied: Applied) -> Result<Tail, LedgerError> {
    let mut batch = Batch::new();
    let tail = bodies.scan(front, &mut |hash, place| {
        batch.entry(keys::body(&hash)).or_insert_with(|| Some(place.to_bytes()));
        if batch.len() >= REPLAY_BATCH * 4 {
            store.write(std::mem::take(&mut batch), applied)?;
        }
        Ok(())
    })?;
    store.write(batch, applied)?;
    Ok(tail)
}

/// An entry of the part that is verified at the start, as far as cutting needs it.
struct Seen {
    /// Where the proposal that it belongs to begins.
    proposal: u64,
    group: u64,
    seq: u64,
    start: u64,
    missing_body: bool,
}

/// Verifies the chain from the checkpoint on; cuts what was never confirmed.
fn verify_tail(
    segments: &[Arc<Segment>],
    checkpoint: Option<Checkpoint>,
    has: impl Fn(&Hash) -> Result<bool, LedgerError>,
    tail: Tail,
) -> Result<Tip, LedgerError> {
    let mut tip = checkpoint.map_or(Tip { seq: 0, hash: Hash::ZERO }, |mark| mark.tip());
    let begin = checkpoint.map_or(0, |mark| segments.iter().position(|s| s.first == mark.segment).unwrap_or(0));
    for (at, segment) in segments.iter().enumerate().skip(begin) {
        let last = at + 1 == segments.len();
        let offset = checkpoint.filter(|mark| mark.segment == segment.first).map_or(0, |mark| mark.end);
        let damaged = |seq, offset, why| LedgerError::Damaged { seq, offset, file: segment.path.clone(), why };
        if segment.first != tip.seq + 1 && offset == 0 {
            return Err(damaged(tip.seq + 1, 0, "a file of the log is missing"));
        }
        // The tip before each proposal, so that cutting knows what to go back to.
        let (mut before, mut proposal, mut open) = (tip, offset, false);
        let mut starts: Vec<(u64, Tip)> = vec![(offset, tip)];
        let mut group: Vec<Seen> = Vec::new();
        let (mut first_new, mut ends) = (tip.seq + 1, Vec::new());
        let end = scan::segment(&segment.path, offset, &mut tip, last, |entry, start, end| {
            if !open {
                proposal = start;
                starts.retain(|(_, tip)| tip.seq + 1 >= entry.group);
                starts.push((start, before));
            }
            open = entry.more > 0;
            before = Tip { seq: entry.seq, hash: entry.hash };
            let (seq, group_of) = (entry.seq, entry.group);
            if group.last().is_some_and(|seen| seen.group != group_of) {
                // An entry of a later group proves that the earlier ones were synced.
                if let Some(bad) = group.iter().find(|seen| seen.missing_body) {
                    return Err(damaged(bad.seq, bad.start, "its body is missing or damaged"));
                }
                group.clear();
            }
            let missing_body = !all_bodies(&entry, &has)?;
            group.push(Seen { proposal, group: group_of, seq, start, missing_body });
            ends.push(end);
            if ends.len() >= 4096 {
                segment.note_ends(first_new, &ends)?;
                first_new += ends.len() as u64;
                ends.clear();
            }
            Ok(())
        })?;
        segment.note_ends(first_new, &ends)?;
        let mut cut = match end {
            End::Whole => None,
            End::Torn(from) => Some(from),
            End::Damaged(from, why) => return Err(damaged(tip.seq + 1, from, why)),
        };
        if open {
            if !last {
                return Err(damaged(tip.seq, proposal, "its proposal is not whole"));
            }
            cut = Some(proposal);
        }
        if let Some(bad) = group.iter().find(|seen| seen.missing_body) {
            if tail != Tail::Torn || !last {
                return Err(damaged(bad.seq, bad.start, "its body is missing or damaged"));
            }
            cut = Some(cut.map_or(bad.proposal, |cut| cut.min(bad.proposal)));
        }
        if let Some(from) = cut {
            tracing::warn!(bytes = segment.length()?.saturating_sub(from), "cut what a crash left unconfirmed");
            segment.cut(from)?;
            tip = starts.iter().rev().find(|(start, _)| *start == from).map_or(tip, |(_, tip)| *tip);
        }
    }
    Ok(tip)
}

fn all_bodies(entry: &Entry, has: &impl Fn(&Hash) -> Result<bool, LedgerError>) -> Result<bool, LedgerError> {
    for hash in entry.bodies() {
        if !has(&hash)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Brings the folds up to the log's head.
fn replay(log: &Log, store: &dyn Store, tip: Tip) -> Result<(), LedgerError> {
    let applied = store.applied()?;
    let fits = applied.seq <= tip.seq
        && (applied.seq == 0 || log.entry(applied.seq).is_ok_and(|entry| entry.hash == applied.hash));
    if !fits {
        return Err(LedgerError::Folds("they belong to another log".to_owned()));
    }
    let mut folding = Folding::default();
    let (mut view, mut at) = (View::over(store), applied);
    let mut count = 0;
    for seq in applied.seq + 1..=tip.seq {
        let entry = log.entry(seq)?;
        folding.take(&mut view, &entry)?;
        at = Applied { seq, hash: entry.hash };
        count += 1;
        if count >= REPLAY_BATCH && entry.more == 0 {
            store.write(std::mem::replace(&mut view, View::over(store)).into_changes(), at)?;
            count = 0;
        }
    }
    store.write(view.into_changes(), at)
}
