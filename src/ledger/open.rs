//! Opening a ledger: the lock, what follows the last checkpoint, the torn tail that a crash leaves (never confirmed,
//! so it is cut), and the folds (replayed where they lag, deleted and made anew where they are in doubt).

use std::{path::Path, sync::Arc};

use super::{
    Entry, Hash, LedgerError, Options,
    behind::Behind,
    bodies::{Bodies, Front, Tail},
    checkpoint::Checkpoint,
    fold::Folding,
    keys,
    ledger::Folds,
    log::{Log, Segment},
    media::{Media, folder, io_error},
    scan::{self, End, Tip},
    sled_store::SledStore,
    store::{Applied, Batch, Store, View},
};

/// Free bytes below which a start is not tried.
const ROOM_TO_START: u64 = 1 << 20;
/// Entries taken into the folds at once during a replay.
const REPLAY_BATCH: usize = 512;

/// Held as long as the ledger is open.
pub(super) type Lock = Box<dyn Send + Sync>;

/// A ledger whose log is whole and whose folds have caught up.
pub(super) struct Opened {
    pub lock: Lock,
    pub log: Log,
    pub bodies: Bodies,
    pub store: Arc<dyn Store>,
    pub tip: Tip,
    pub front: Front,
}

/// Takes the folder's lock; it ends with the process.
pub(super) fn lock(media: &dyn Media, ledger: &Path) -> Result<Lock, LedgerError> {
    folder(media, ledger)?;
    let path = ledger.join("lock");
    let taken = media.lock(&path).map_err(|source| io_error("lock", &path, source))?;
    taken.ok_or_else(|| LedgerError::InUse(ledger.to_owned()))
}

/// Opens the ledger, its folds where the options say.
pub(super) fn open(ledger: &Path, options: &Options) -> Result<Opened, LedgerError> {
    let lock = lock(&*options.media, ledger)?;
    // Without room neither index nor folds can be made: that is the reason to tell, not theirs.
    let free = options.media.free(ledger).unwrap_or(u64::MAX);
    if free < ROOM_TO_START {
        return Err(LedgerError::DiskFull { free, needed: ROOM_TO_START });
    }
    open_locked(ledger, options, lock)
}

pub(super) fn open_locked(ledger: &Path, options: &Options, lock: Lock) -> Result<Opened, LedgerError> {
    let folds = Place::of(ledger, options);
    let media = &options.media;
    match folds.open().and_then(|store| with_store(ledger, media, store)) {
        Ok((log, bodies, store, tip, front)) => Ok(Opened { lock, log, bodies, store, tip, front }),
        Err(LedgerError::Folds(why)) => {
            tracing::warn!(why, "the ledger's folds are in doubt: they are made anew from the log");
            folds.clear()?;
            let (log, bodies, store, tip, front) = with_store(ledger, media, folds.open()?)?;
            Ok(Opened { lock, log, bodies, store, tip, front })
        }
        Err(other) => Err(other),
    }
}

/// Where the folds are kept.
enum Place {
    Sled(std::path::PathBuf),
    Memory(super::MemoryFolds),
}

impl Place {
    fn of(ledger: &Path, options: &Options) -> Self {
        match &options.folds {
            Folds::Sled => Self::Sled(ledger.join("folds")),
            Folds::Memory(memory) => Self::Memory(memory.clone()),
        }
    }

    fn open(&self) -> Result<Arc<dyn Store>, LedgerError> {
        match self {
            Self::Sled(path) => Ok(Arc::new(Behind::over(Arc::new(SledStore::open(path)?))?)),
            Self::Memory(memory) => Ok(Arc::new(memory.clone())),
        }
    }

    fn clear(&self) -> Result<(), LedgerError> {
        match self {
            Self::Sled(path) if path.exists() => {
                std::fs::remove_dir_all(path).map_err(|source| io_error("delete", path, source))
            }
            Self::Sled(_) => Ok(()),
            Self::Memory(memory) => {
                memory.clear();
                Ok(())
            }
        }
    }
}

type Parts = (Log, Bodies, Arc<dyn Store>, Tip, Front);

/// Verifies what follows the checkpoint, cuts what a crash left unconfirmed, makes durable what is left, and brings
/// this store up to the log's head.
fn with_store(ledger: &Path, media: &Arc<dyn Media>, store: Arc<dyn Store>) -> Result<Parts, LedgerError> {
    let log = Log::open(Arc::clone(media), ledger)?;
    let bodies = Bodies::open(Arc::clone(media), ledger)?;
    let segments = log.segments();
    let applied = store.applied()?;
    let named = Checkpoint::read(&**media, ledger);
    let confirmed = named.map_or(0, |mark| mark.seq);
    let checkpoint = named.filter(|mark| {
        mark.seq <= applied.seq
            && segments.iter().any(|segment| mark.fits(segment))
            && log.entry(mark.seq).is_ok_and(|entry| entry.hash == mark.hash)
    });
    let mut front = checkpoint.map_or(Front::START, |mark| mark.bodies.min(applied.bodies));
    let tail = index_bodies(&bodies, &*store, &mut front, applied)?;
    let tip = verify_tail(&**media, &segments, checkpoint, confirmed, tail, |hash| bodies.has(&*store, hash))?;
    bodies.make_whole(front)?;
    if let Some(last) = segments.last() {
        // What a killed process wrote may be read here before the disk has it.
        last.file.sync().map_err(|source| io_error("sync", &last.path, source))?;
    }
    replay(&log, &*store, tip)?;
    finish_erasing(&bodies, &*store)?;
    Ok((log, bodies, store, tip, front))
}

/// What was to be erased when the process ended goes now.
fn finish_erasing(bodies: &Bodies, store: &dyn Store) -> Result<(), LedgerError> {
    let mut erased = Vec::new();
    store.scan(&keys::erasures(), None, &mut |key, _| {
        erased.extend(keys::hash_at_end(key));
        Ok(true)
    })?;
    erased.iter().try_for_each(|hash| bodies.erase(store, hash))
}

fn index_bodies(bodies: &Bodies, store: &dyn Store, front: &mut Front, applied: Applied) -> Result<Tail, LedgerError> {
    let mut batch = Batch::new();
    let tail = bodies.scan(front, &mut |found| {
        // What was erased may have come again later.
        if !(found.erased && batch.contains_key(&keys::body(&found.hash))) {
            batch.insert(keys::body(&found.hash), Some(found.place.to_bytes()));
        }
        if batch.len() >= REPLAY_BATCH * 4 {
            store.write(&std::mem::take(&mut batch), applied)?;
        }
        Ok(())
    })?;
    store.write(&batch, Applied { bodies: *front, ..applied })?;
    Ok(tail)
}

/// Verifies the chain from the checkpoint on; cuts what was never confirmed. `confirmed`: the last entry that a
/// checkpoint names, whether or not it can be begun from.
fn verify_tail(
    media: &dyn Media,
    segments: &[Arc<Segment>],
    checkpoint: Option<Checkpoint>,
    confirmed: u64,
    tail: Tail,
    has: impl Fn(&Hash) -> Result<bool, LedgerError>,
) -> Result<Tip, LedgerError> {
    let mut tip = checkpoint.map_or(Tip::START, |mark| mark.tip());
    let begin = checkpoint.map_or(0, |mark| segments.iter().position(|s| s.first == mark.segment).unwrap_or(0));
    for (at, segment) in segments.iter().enumerate().skip(begin) {
        let last = at + 1 == segments.len();
        let offset = checkpoint.filter(|mark| mark.segment == segment.first).map_or(0, |mark| mark.end);
        let damaged = |seq, offset, why| LedgerError::Damaged { seq, offset, file: segment.path.clone(), why };
        if segment.first != tip.seq + 1 && offset == 0 {
            return Err(damaged(tip.seq + 1, 0, "a file of the log is missing"));
        }
        let mut group = LastGroup::new(tip);
        let (mut first_new, mut ends) = (tip.seq + 1, Vec::new());
        let end = scan::segment(media, &segment.path, offset, &mut tip, last, confirmed, |entry, start, end| {
            let missing_body = !all_bodies(&entry, &has)?;
            if let Some((seq, start)) = group.take(&entry, start, missing_body) {
                return Err(damaged(seq, start, MISSING_BODY));
            }
            ends.push(end);
            if ends.len() >= 4096 {
                segment.note_ends(first_new, &ends)?;
                first_new += ends.len() as u64;
                ends.clear();
            }
            Ok(())
        })?;
        segment.note_ends(first_new, &ends)?;
        let from = match end {
            End::Whole => None,
            End::Torn(from) => Some(from),
            End::Damaged(from, why) => return Err(damaged(tip.seq + 1, from, why)),
        };
        match group.cut(from, last, tail, confirmed) {
            Cut::Nothing => {}
            Cut::From(start, before) => {
                tracing::warn!(bytes = segment.length()?.saturating_sub(start), "cut what a crash left unconfirmed");
                segment.cut(start)?;
                tip = before;
            }
            Cut::Not(seq, start, why) => return Err(damaged(seq, start, why)),
        }
        if last && tip.seq < confirmed {
            return Err(damaged(tip.seq + 1, segment.length()?, "the log ends before what the last checkpoint names"));
        }
    }
    Ok(tip)
}

/// What is told of an entry that names a body which is not there.
pub(super) const MISSING_BODY: &str = "its body is missing or damaged";

/// The group that was read last, proposal by proposal: what a power cut may have left of it unconfirmed. Serves the
/// start and `verify` alike, so that they always agree.
pub(super) struct LastGroup {
    group: u64,
    /// Where each proposal begins, and the tip before it; the last one may be open.
    proposals: Vec<(u64, Tip)>,
    open: bool,
    before: Tip,
    /// The first entry whose body is missing: sequence and start, and its proposal's place in `proposals`.
    missing: Option<(u64, u64, usize)>,
}

/// What is to be cut of the last group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    Nothing,
    /// From this place on; the tip is then this.
    From(u64, Tip),
    /// That would cut what was confirmed: sequence, place, and what is wrong.
    Not(u64, u64, &'static str),
}

impl LastGroup {
    /// Before the entry that follows this tip.
    pub(super) const fn new(before: Tip) -> Self {
        Self { group: 0, proposals: Vec::new(), open: false, before, missing: None }
    }

    /// The next entry. Gives sequence and place of an entry that has lost its body although it was confirmed: an entry
    /// of a later group proves that the earlier ones were synced.
    pub(super) fn take(&mut self, entry: &Entry, start: u64, missing_body: bool) -> Option<(u64, u64)> {
        if entry.group != self.group {
            if let Some((seq, start, _)) = self.missing {
                return Some((seq, start));
            }
            self.group = entry.group;
            self.proposals.clear();
        }
        if !self.open {
            self.proposals.push((start, self.before));
        }
        self.open = entry.more > 0;
        self.before = Tip { seq: entry.seq, hash: entry.hash };
        if missing_body && self.missing.is_none() {
            self.missing = Some((entry.seq, start, self.proposals.len() - 1));
        }
        None
    }

    /// What must go: from a torn line on, an open proposal, and whatever lacks its body; nothing up to `confirmed`.
    pub(super) fn cut(&self, torn: Option<u64>, is_end: bool, bodies: Tail, confirmed: u64) -> Cut {
        match self.unconfirmed(torn, is_end, bodies) {
            Cut::From(start, before) if before.seq < confirmed => {
                Cut::Not(before.seq + 1, start, "the last checkpoint says that it was whole")
            }
            cut => cut,
        }
    }

    fn unconfirmed(&self, torn: Option<u64>, is_end: bool, bodies: Tail) -> Cut {
        if let (Some((seq, start, _)), false) = (self.missing, is_end && bodies != Tail::Damaged) {
            return Cut::Not(seq, start, MISSING_BODY);
        }
        if let (true, false, Some((start, before))) = (self.open, is_end, self.proposals.last()) {
            return Cut::Not(before.seq + 1, *start, "its proposal is not whole");
        }
        let open = self.open.then(|| self.proposals.len().checked_sub(1)).flatten();
        let missing = self.missing.map(|(.., proposal)| proposal);
        let first = match (open, missing) {
            (Some(open), Some(missing)) => Some(open.min(missing)),
            (open, missing) => open.or(missing),
        };
        match (first.and_then(|at| self.proposals.get(at)), torn) {
            (Some((start, before)), _) => Cut::From(*start, *before),
            (None, Some(from)) => Cut::From(from, self.before),
            (None, None) => Cut::Nothing,
        }
    }
}

fn all_bodies(entry: &Entry, has: &impl Fn(&Hash) -> Result<bool, LedgerError>) -> Result<bool, LedgerError> {
    for hash in entry.bodies() {
        if !has(&hash)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A fact that cannot have happened is damage, whatever its hash says.
fn cannot_be(log: &Log, seq: u64, why: LedgerError) -> LedgerError {
    let segment = log.segments().into_iter().rfind(|segment| segment.first <= seq);
    match (why, segment) {
        (LedgerError::Impossible { .. }, Some(segment)) => LedgerError::Damaged {
            seq,
            offset: segment.span(seq).map_or(0, |(start, _)| start),
            file: segment.path.clone(),
            why: "it tells what cannot have happened where its sync stood",
        },
        (other, _) => other,
    }
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
        folding.take(&mut view, &entry).map_err(|why| cannot_be(log, seq, why))?;
        at = Applied { seq, hash: entry.hash, ..applied };
        count += 1;
        if count >= REPLAY_BATCH && entry.more == 0 {
            store.write(&std::mem::replace(&mut view, View::over(store)).into_changes(), at)?;
            count = 0;
        }
    }
    store.write(&view.into_changes(), at)
}
