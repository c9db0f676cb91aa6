//! Reading a ledger from outside: verify, export, show, rebuild. Takes no lock but for the rebuild, needs no folds,
//! changes nothing: what it says rests on the files alone.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::BufRead as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::Engine as _;
use bytes::Bytes;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    Entry, Hash, LedgerError, Options,
    bodies::{Bodies, Front, Place, Tail},
    checkpoint::Checkpoint,
    log,
    media::{Disk, Media, Open, Reading, io_error},
    open::{self, Cut, LastGroup, MISSING_BODY, Opened},
    scan::{self, End, Tip},
};
use crate::clock::SystemClock;

/// What `verify` found. All entries before `bad` are proven.
#[derive(Debug)]
pub struct Verified {
    /// Entries that are whole and in the chain, with their bodies.
    pub entries: u64,
    /// Hash of the last one, as `sha256sum` prints it; nothing in an empty ledger.
    pub head: Option<Hash>,
    /// The first entry that is not what was written.
    pub bad: Option<LedgerError>,
    /// Its sequence.
    pub first_bad_seq: Option<u64>,
    /// Bytes at the end that a crash left unconfirmed; the next start cuts them.
    pub unconfirmed: u64,
}

impl Verified {
    /// Nothing is damaged.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.bad.is_none()
    }
}

/// A ledger's files, read only.
pub struct Audit {
    media: Arc<dyn Media>,
    folder: PathBuf,
    bodies: Bodies,
    places: HashMap<Hash, Place>,
    /// Up to where the bodies' segments were read.
    front: Front,
    tail: Tail,
    checked_files: BTreeMap<Hash, bool>,
}

impl Audit {
    /// Reads where the bodies are, checking each.
    ///
    /// # Errors
    /// [`LedgerError::Io`] where there is no ledger or it cannot be read.
    pub fn of(folder: &Path) -> Result<Self, LedgerError> {
        Self::on(Arc::new(Disk), folder)
    }

    /// [`Self::of`] on another file system.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn on(media: Arc<dyn Media>, folder: &Path) -> Result<Self, LedgerError> {
        log::files(&*media, folder)?;
        let mut audit = Self {
            bodies: Bodies::look(Arc::clone(&media), folder),
            media,
            folder: folder.to_owned(),
            places: HashMap::new(),
            front: Front::START,
            tail: Tail::Whole,
            checked_files: BTreeMap::new(),
        };
        audit.read_on()?;
        Ok(audit)
    }

    /// Reads the bodies that were not read yet: beside a gateway at work, more come while the log is read.
    fn read_on(&mut self) -> Result<(), LedgerError> {
        let Self { bodies, places, front, tail, .. } = self;
        *tail = bodies.scan(front, &mut |found| {
            // What was erased may have come again later.
            if !(found.erased && places.contains_key(&found.hash)) {
                places.insert(found.hash, found.place);
            }
            Ok(())
        })?;
        Ok(())
    }

    fn has(&mut self, hash: &Hash) -> Result<bool, LedgerError> {
        if !self.places.contains_key(hash) {
            self.read_on()?;
        }
        if self.places.contains_key(hash) {
            return Ok(true);
        }
        if let Some(known) = self.checked_files.get(hash) {
            return Ok(*known);
        }
        let good = match self.bodies.large(hash) {
            Some(path) => digest(&*self.media, &path)? == *hash,
            None => self.bodies.has_file(hash),
        };
        self.checked_files.insert(*hash, good);
        Ok(good)
    }

    /// The bytes of a body; nothing where it is gone or was erased.
    ///
    /// # Errors
    /// [`LedgerError::Body`] where it is not what was written.
    pub fn body(&self, hash: &Hash) -> Result<Option<Bytes>, LedgerError> {
        self.bodies.read_at(self.places.get(hash).copied(), hash)
    }

    /// Checks all entries, the chain and the bodies.
    ///
    /// # Errors
    /// [`LedgerError::Io`] where a file cannot be read; damage is no error here but the answer.
    pub fn verify(&mut self) -> Result<Verified, LedgerError> {
        let (media, folder) = (Arc::clone(&self.media), self.folder.clone());
        let confirmed = Checkpoint::read(&*media, &folder).map_or(0, |mark| mark.seq);
        let mut tip = Tip::START;
        let mut group = LastGroup::new(tip);
        let mut lost = None;
        let walk = walk(&*media, &folder, confirmed, &mut tip, |entry, path, start| {
            if lost.is_none() {
                let mut missing = false;
                for hash in entry.bodies() {
                    missing = missing || !self.has(&hash)?;
                }
                lost = group.take(&entry, start, missing).map(|(seq, start)| (seq, start, path.to_owned()));
            }
            Ok(lost.is_none())
        })?;
        let damaged = |seq, offset, file: &Path, why| {
            let bad = LedgerError::Damaged { seq, offset, file: file.to_owned(), why };
            Ok(Verified { entries: seq - 1, head: None, bad: Some(bad), first_bad_seq: Some(seq), unconfirmed: 0 })
        };
        if let Some((seq, start, path)) = lost {
            return damaged(seq, start, &path, MISSING_BODY);
        }
        if let Some(bad) = walk.bad {
            let (seq, head) = (tip.seq + 1, (tip.seq > 0).then_some(tip.hash));
            return Ok(Verified { entries: tip.seq, head, bad: Some(bad), first_bad_seq: Some(seq), unconfirmed: 0 });
        }
        let mut unconfirmed = 0;
        match group.cut(walk.torn, true, self.tail, confirmed) {
            Cut::Nothing => {}
            Cut::From(start, before) => {
                unconfirmed = walk.length.saturating_sub(start);
                tip = before;
            }
            Cut::Not(seq, start, why) => return damaged(seq, start, &walk.file, why),
        }
        if tip.seq < confirmed {
            let why = "the log ends before what the last checkpoint names";
            return damaged(tip.seq + 1, walk.length, &walk.file, why);
        }
        let head = (tip.seq > 0).then_some(tip.hash);
        Ok(Verified { entries: tip.seq, head, bad: None, first_bad_seq: None, unconfirmed })
    }

    /// Tells `take` every entry, in order.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] where the chain breaks, [`LedgerError::Io`].
    pub fn each(&self, take: &mut dyn FnMut(&Entry)) -> Result<(), LedgerError> {
        let mut tip = Tip::START;
        let walk = walk(&*self.media, &self.folder, 0, &mut tip, |entry, _, _| {
            take(&entry);
            Ok(true)
        })?;
        walk.bad.map_or(Ok(()), Err)
    }

    /// Tells `take` every entry's line as it stands, and the bodies that it is the first to name; stops at damage.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] where the chain breaks, [`LedgerError::Io`]; those of `take`.
    pub fn lines(
        &self,
        bodies: bool,
        wanted: impl Fn(&Entry) -> bool,
        take: &mut dyn FnMut(&str) -> std::io::Result<()>,
    ) -> Result<u64, LedgerError> {
        let mut tip = Tip::START;
        let (mut told, mut count) = (BTreeSet::new(), 0);
        let told_io = |source| io_error("write", Path::new("standard output"), source);
        let walk = walk(&*self.media, &self.folder, 0, &mut tip, |entry, _, _| {
            if !wanted(&entry) {
                return Ok(true);
            }
            count += 1;
            take(&entry.to_json().to_string()).map_err(told_io)?;
            for hash in entry.bodies() {
                if bodies && told.insert(hash) {
                    take(&body_line(&hash, self.body(&hash)?).to_string()).map_err(told_io)?;
                }
            }
            Ok(true)
        })?;
        walk.bad.map_or(Ok(count), Err)
    }
}

/// A body as a line of its own: JSON where it is that, else text, else base64; `null` where it was erased.
fn body_line(hash: &Hash, bytes: Option<Bytes>) -> serde_json::Value {
    let Some(bytes) = bytes else { return json!({"body": hash, "erased": true}) };
    if let Ok(value) = crate::fhir::read(&bytes) {
        return json!({"body": hash, "json": value});
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => json!({"body": hash, "text": text}),
        Err(_) => json!({"body": hash, "base64": base64::engine::general_purpose::STANDARD.encode(&bytes)}),
    }
}

/// How reading the whole log ended.
struct Walk {
    bad: Option<LedgerError>,
    /// Where, in the last file, begins what a crash left unconfirmed.
    torn: Option<u64>,
    /// The last file that was read, and its length.
    file: PathBuf,
    length: u64,
}

fn walk(
    media: &dyn Media,
    folder: &Path,
    confirmed: u64,
    tip: &mut Tip,
    mut take: impl FnMut(Entry, &Path, u64) -> Result<bool, LedgerError>,
) -> Result<Walk, LedgerError> {
    let files = log::files(media, folder)?;
    let mut walk = Walk { bad: None, torn: None, file: folder.to_owned(), length: 0 };
    for (at, (first, path)) in files.iter().enumerate() {
        let damaged = |seq, offset, why| Some(LedgerError::Damaged { seq, offset, file: path.clone(), why });
        if *first != tip.seq + 1 {
            return Ok(Walk { bad: damaged(tip.seq + 1, 0, "a file of the log is missing"), ..walk });
        }
        let length = media.open(path, Open::Read).and_then(|file| file.length());
        walk.length = length.map_err(|source| io_error("read", path, source))?;
        walk.file.clone_from(path);
        let mut go_on = true;
        let end = scan::segment(media, path, 0, tip, at + 1 == files.len(), confirmed, |entry, start, _| {
            go_on = go_on && take(entry, path, start)?;
            Ok(())
        })?;
        match end {
            End::Whole => {}
            End::Torn(from) => return Ok(Walk { torn: Some(from), ..walk }),
            End::Damaged(from, why) => return Ok(Walk { bad: damaged(tip.seq + 1, from, why), ..walk }),
        }
        if !go_on {
            break;
        }
    }
    Ok(walk)
}

/// The hash of a file, never whole in memory.
pub(super) fn digest(media: &dyn Media, path: &Path) -> Result<Hash, LedgerError> {
    let failed = |source| io_error("read", path, source);
    let mut reader = Reading::from(media.open(path, Open::Read).map_err(failed)?, 0);
    let mut hasher = Sha256::new();
    loop {
        let bytes = reader.fill_buf().map_err(failed)?;
        if bytes.is_empty() {
            return Ok(Hash::from_bytes(hasher.finalize().into()));
        }
        hasher.update(bytes);
        let read = bytes.len();
        reader.consume(read);
    }
}

/// Deletes folds, index and checkpoint, and makes them anew from the log, verifying all of it. Gives the number of
/// entries.
///
/// # Errors
/// [`LedgerError::InUse`], [`LedgerError::Damaged`], [`LedgerError::Io`].
pub fn rebuild(folder: &Path) -> Result<u64, LedgerError> {
    let options = Options::new(Arc::new(SystemClock));
    let media = &*options.media;
    log::files(media, folder)?;
    let lock = open::lock(media, folder)?;
    for derived in ["folds", "index"] {
        let path = folder.join(derived);
        if media.exists(&path) {
            media.remove_folder(&path).map_err(|source| io_error("delete", &path, source))?;
        }
    }
    let _ = media.remove(&folder.join("checkpoint.json"));
    let Opened { tip, store, .. } = open::open_locked(folder, &options, lock)?;
    store.flush()?;
    Ok(tip.seq)
}
