//! Reading a ledger from outside: verify, export, show, rebuild. Takes no lock but for the rebuild, needs no folds,
//! changes nothing: what it says rests on the files alone.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::Engine as _;
use bytes::Bytes;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    Entry, Hash, LedgerError,
    bodies::{Bodies, Front, Place, Tail},
    log,
    media::io_error,
    open::{self, Opened},
    scan::{self, End, Tip},
};

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
        log::files(folder)?;
        let mut audit = Self {
            folder: folder.to_owned(),
            bodies: Bodies::look(folder),
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
        *tail = bodies.scan(front, &mut |hash, place| {
            places.insert(hash, place);
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
            Some(path) => digest(&path)? == *hash,
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
        let (mut tip, mut start_of_group) = (Tip { seq: 0, hash: Hash::ZERO }, 0);
        let mut lost: Option<(u64, u64, LedgerError, Tip)> = None;
        let (mut proposal, mut open) = (None, false);
        let folder = self.folder.clone();
        let walk = walk(&folder, &mut tip, |entry, path, start, before| {
            start_of_group = entry.group;
            if !open {
                proposal = Some((start, before));
            }
            open = entry.more > 0;
            if lost.is_none() {
                for hash in entry.bodies() {
                    if !self.has(&hash)? {
                        let why = "its body is missing or damaged";
                        let bad = LedgerError::Damaged { seq: entry.seq, offset: start, file: path.to_owned(), why };
                        lost = Some((entry.seq, entry.group, bad, before));
                        break;
                    }
                }
            }
            Ok(true)
        })?;
        let mut unconfirmed = walk.torn;
        // A body that a power cut lost belongs to the last group; anything else is damage.
        let lost =
            lost.filter(|(_, group, ..)| self.tail != Tail::Torn || *group != start_of_group || walk.bad.is_some());
        let (bad, first_bad_seq) = match (lost, walk.bad) {
            (Some((seq, _, bad, before)), _) => {
                tip = before;
                (Some(bad), Some(seq))
            }
            (None, Some(bad)) => {
                let seq = tip.seq + 1;
                (Some(bad), Some(seq))
            }
            (None, None) => (None, None),
        };
        if let (true, None, Some((start, before))) = (open, &bad, proposal) {
            unconfirmed += walk.end.saturating_sub(start);
            tip = before;
        }
        let head = (tip.seq > 0).then_some(tip.hash);
        Ok(Verified { entries: tip.seq, head, bad, first_bad_seq, unconfirmed })
    }

    /// Tells `take` every entry, in order.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] where the chain breaks, [`LedgerError::Io`].
    pub fn each(&self, take: &mut dyn FnMut(&Entry)) -> Result<(), LedgerError> {
        let mut tip = Tip { seq: 0, hash: Hash::ZERO };
        let walk = walk(&self.folder, &mut tip, |entry, _, _, _| {
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
        let mut tip = Tip { seq: 0, hash: Hash::ZERO };
        let (mut told, mut count) = (std::collections::HashSet::new(), 0);
        let told_io = |source| io_error("write", Path::new("standard output"), source);
        let walk = walk(&self.folder, &mut tip, |entry, _, _, _| {
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
    torn: u64,
    /// Where the last whole line ends, in the last file.
    end: u64,
}

fn walk(
    folder: &Path,
    tip: &mut Tip,
    mut take: impl FnMut(Entry, &Path, u64, Tip) -> Result<bool, LedgerError>,
) -> Result<Walk, LedgerError> {
    let files = log::files(folder)?;
    let mut whole = 0;
    for (at, (first, path)) in files.iter().enumerate() {
        let damaged = |seq, offset, why| Some(LedgerError::Damaged { seq, offset, file: path.clone(), why });
        if *first != tip.seq + 1 {
            return Ok(Walk { bad: damaged(tip.seq + 1, 0, "a file of the log is missing"), torn: 0, end: 0 });
        }
        whole = 0;
        let mut before = *tip;
        let end = scan::segment(path, 0, tip, at + 1 == files.len(), |entry, start, end| {
            let now = Tip { seq: entry.seq, hash: entry.hash };
            take(entry, path, start, before)?;
            before = now;
            whole = end;
            Ok(())
        })?;
        match end {
            End::Whole => {}
            End::Torn(from) => {
                let length = fs::metadata(path).map_err(|source| io_error("read", path, source))?.len();
                return Ok(Walk { bad: None, torn: length.saturating_sub(from), end: whole });
            }
            End::Damaged(from, why) => {
                return Ok(Walk { bad: damaged(tip.seq + 1, from, why), torn: 0, end: whole });
            }
        }
    }
    Ok(Walk { bad: None, torn: 0, end: whole })
}

/// The hash of a file, never whole in memory.
pub(super) fn digest(path: &Path) -> Result<Hash, LedgerError> {
    let failed = |source| io_error("read", path, source);
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed)?);
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
    log::files(folder)?;
    let lock = open::lock(folder)?;
    for derived in ["folds", "index"] {
        let path = folder.join(derived);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(|source| io_error("delete", &path, source))?;
        }
    }
    let _ = fs::remove_file(folder.join("checkpoint.json"));
    let Opened { tip, store, .. } = open::open_locked(folder, lock)?;
    store.flush()?;
    drop(Arc::clone(&store));
    Ok(tip.seq)
}
