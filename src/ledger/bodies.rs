//! The bodies beside the chain, keyed by hash. Small ones are records of segment files (`bodies/<n>.bodies`:
//! `sha256-<hex> <length>`, newline, bytes, newline), because sled never syncs; larger ones are files of their own, synced
//! before the entry that names them. Erasing one overwrites its bytes and leaves its name: the chain stays whole.

use std::{
    collections::BTreeMap,
    io::{BufReader, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;

use super::{
    Hash, LedgerError, keys,
    media::{Media, MediaFile, Open, Reading, folder, io_error, read_exact, read_whole, sync_folder},
    scan::has_hole,
    store::Store,
};

/// Bodies over this many bytes are files of their own.
pub const INLINE_LIMIT: usize = 64 * 1024;
/// A segment of small bodies is full at this length.
const SEGMENT_BYTES: u64 = 256 * 1024 * 1024;
const LIVE: &[u8] = b"sha256-";
const ERASED: &[u8] = b"erased-";

/// Where a small body's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub segment: u32,
    pub offset: u64,
    pub length: u32,
}

impl Place {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        [&self.segment.to_be_bytes()[..], &self.offset.to_be_bytes(), &self.length.to_be_bytes()].concat()
    }
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (segment, rest) = bytes.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let length = u32::from_be_bytes(rest.try_into().ok()?);
        Some(Self { segment: u32::from_be_bytes(*segment), offset: u64::from_be_bytes(*offset), length })
    }
}

/// How the reading of the bodies' segments ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    Whole,
    /// Cut off by a crash: what follows was never confirmed, unless an entry names it.
    Torn,
    /// Not what was written.
    Damaged,
}

/// A record that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub hash: Hash,
    pub place: Place,
    /// Its bytes were overwritten on purpose.
    pub erased: bool,
}

/// Where the next small body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) struct Front {
    pub segment: u32,
    pub offset: u64,
}

impl Front {
    pub(super) const START: Self = Self { segment: 1, offset: 0 };
}

/// All bodies.
pub(super) struct Bodies {
    media: Arc<dyn Media>,
    folder: PathBuf,
    segments: RwLock<BTreeMap<u32, Arc<dyn MediaFile>>>,
}

impl Bodies {
    /// Opens or makes the folder.
    pub(super) fn open(media: Arc<dyn Media>, ledger: &Path) -> Result<Self, LedgerError> {
        let this = Self::look(media, ledger);
        let tmp = this.folder.join("tmp");
        for path in [&this.folder, &this.folder.join("files"), &tmp] {
            folder(&*this.media, path)?;
        }
        // What a crash left half received was never named by an entry.
        for left in this.media.list(&tmp).unwrap_or_default() {
            let _ = this.media.remove(&left);
        }
        Ok(this)
    }

    /// Only looks: makes and removes nothing.
    pub(super) fn look(media: Arc<dyn Media>, ledger: &Path) -> Self {
        Self { media, folder: ledger.join("bodies"), segments: RwLock::default() }
    }

    fn segment_path(&self, segment: u32) -> PathBuf {
        self.folder.join(format!("{segment:08}.bodies"))
    }

    fn file_path(&self, hash: &Hash) -> PathBuf {
        let hex = hash.hex();
        self.folder.join("files").join(&hex[..2]).join(hex)
    }

    /// A place for bytes that are being received.
    pub(super) fn temporary(&self, name: &str) -> PathBuf {
        self.folder.join("tmp").join(name)
    }

    fn known(&self, segment: u32) -> Option<Arc<dyn MediaFile>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).get(&segment).cloned()
    }

    /// A segment to write to; a new one's name is durable on return.
    pub(super) fn segment(&self, segment: u32) -> Result<Arc<dyn MediaFile>, LedgerError> {
        if let Some(file) = self.known(segment) {
            return Ok(file);
        }
        let path = self.segment_path(segment);
        let is_new = !self.media.exists(&path);
        let file = self.media.open(&path, Open::Write).map_err(|source| io_error("open", &path, source))?;
        if is_new {
            sync_folder(&*self.media, &self.folder)?;
        }
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        segments.insert(segment, Arc::clone(&file));
        Ok(file)
    }

    /// Lays out a record behind what is in `out` already; gives its place. Begins a further segment only between groups.
    pub(super) fn lay_out(front: Front, out: &mut Vec<u8>, hash: &Hash, bytes: &[u8]) -> Place {
        out.extend_from_slice(format!("{hash} {}\n", bytes.len()).as_bytes());
        let offset = front.offset + out.len() as u64;
        out.extend_from_slice(bytes);
        out.push(b'\n');
        Place { segment: front.segment, offset, length: u32::try_from(bytes.len()).unwrap_or(u32::MAX) }
    }

    /// Writes laid out records; the caller syncs the file.
    pub(super) fn write(&self, front: &mut Front, records: &[u8]) -> Result<Arc<dyn MediaFile>, LedgerError> {
        let file = self.segment(front.segment)?;
        let written = file.write_at(records, front.offset);
        written.map_err(|source| io_error("write", &self.segment_path(front.segment), source))?;
        front.offset += records.len() as u64;
        Ok(file)
    }

    /// Where the next group's bodies go: a further segment where this one is full.
    pub(super) const fn roll(front: &mut Front) {
        if front.offset >= SEGMENT_BYTES {
            *front = Front { segment: front.segment + 1, offset: 0 };
        }
    }

    /// Moves received bytes to their name; durable on return.
    pub(super) fn keep(&self, received: &Path, hash: &Hash) -> Result<(), LedgerError> {
        let path = self.file_path(hash);
        let parent = path.parent().unwrap_or(&self.folder).to_owned();
        folder(&*self.media, &parent)?;
        self.media.rename(received, &path).map_err(|source| io_error("keep", &path, source))?;
        sync_folder(&*self.media, &parent)
    }

    /// Keeps bytes as a file of their own; durable on return.
    pub(super) fn keep_large(&self, hash: &Hash, bytes: &[u8], name: &str) -> Result<(), LedgerError> {
        if self.media.exists(&self.file_path(hash)) {
            return Ok(());
        }
        let path = self.temporary(name);
        let kept = self.media.open(&path, Open::New).and_then(|file| {
            file.write_at(bytes, 0)?;
            file.sync()
        });
        kept.map_err(|source| io_error("write", &path, source))?;
        self.keep(&path, hash)
    }

    /// The body is there (or its name, where it was erased).
    pub(super) fn has(&self, store: &dyn Store, hash: &Hash) -> Result<bool, LedgerError> {
        Ok(store.get(&keys::body(hash))?.is_some() || self.has_file(hash))
    }

    /// It is a file of its own, or was.
    pub(super) fn has_file(&self, hash: &Hash) -> bool {
        let path = self.file_path(hash);
        self.media.exists(&path) || self.media.exists(&path.with_extension("erased"))
    }

    /// A body's file, where it is one of its own.
    pub(super) fn large(&self, hash: &Hash) -> Option<PathBuf> {
        Some(self.file_path(hash)).filter(|path| self.media.exists(path))
    }

    /// A body's bytes, checked against its name; nothing where there is none or it was erased.
    pub(super) fn read(&self, store: &dyn Store, hash: &Hash) -> Result<Option<Bytes>, LedgerError> {
        self.read_at(store.get(&keys::body(hash))?.as_deref().and_then(Place::from_bytes), hash)
    }

    /// [`Self::read`] for who knows the place.
    pub(super) fn read_at(&self, place: Option<Place>, hash: &Hash) -> Result<Option<Bytes>, LedgerError> {
        let bytes = match (place, self.large(hash)) {
            (Some(place), _) => self.at(place)?,
            (None, Some(path)) => read_whole(&*self.media, &path).map_err(|source| io_error("read", &path, source))?,
            (None, None) => return Ok(None),
        };
        if Hash::of(&bytes) == *hash {
            return Ok(Some(bytes.into()));
        }
        if bytes.iter().all(|byte| *byte == 0) { Ok(None) } else { Err(LedgerError::Body(*hash)) }
    }

    fn at(&self, place: Place) -> Result<Vec<u8>, LedgerError> {
        let mut bytes = vec![0; place.length as usize];
        let path = self.segment_path(place.segment);
        let file = self.known(place.segment).map_or_else(|| self.media.open(&path, Open::Read), Ok);
        let read = file.and_then(|file| read_exact(&*file, &mut bytes, place.offset));
        read.map_err(|source| io_error("read", &path, source))?;
        Ok(bytes)
    }

    /// Overwrites the bytes of a body where that is still to be done; durable on return.
    pub(super) fn erase(&self, store: &dyn Store, hash: &Hash) -> Result<(), LedgerError> {
        if let Some(place) = store.get(&keys::body(hash))?.as_deref().and_then(Place::from_bytes) {
            let file = self.segment(place.segment)?;
            let failed = |source| io_error("erase in", &self.segment_path(place.segment), source);
            let header = place.offset - format!("{hash} {}\n", place.length).len() as u64;
            let mut there = vec![0; place.length as usize];
            read_exact(&*file, &mut there, place.offset).map_err(failed)?;
            if there.iter().all(|byte| *byte == 0) {
                return Ok(());
            }
            // The mark comes first: bytes without it that do not fit their name are damage.
            let erased = file
                .write_at(ERASED, header)
                .and_then(|()| file.sync())
                .and_then(|()| file.write_at(&vec![0; there.len()], place.offset))
                .and_then(|()| file.sync());
            return erased.map_err(failed);
        }
        let path = self.file_path(hash);
        if self.media.exists(&path) {
            let mark = path.with_extension("erased");
            let marked = self.media.open(&mark, Open::New).and_then(|file| file.sync());
            let erased = marked.and_then(|()| self.media.remove(&path));
            erased.map_err(|source| io_error("erase", &path, source))?;
            sync_folder(&*self.media, path.parent().unwrap_or(&self.folder))?;
        }
        Ok(())
    }

    /// Reads all records from `front` on, checking each; `found` is told each whole one (also erased ones). What follows
    /// damage in the same segment is not told; later segments are. `front` ends where the next record goes: behind the
    /// last whole record, or where that was followed by damage, in a segment of its own, so that nothing is overwritten.
    pub(super) fn scan(
        &self,
        front: &mut Front,
        found: &mut dyn FnMut(Found) -> Result<(), LedgerError>,
    ) -> Result<Tail, LedgerError> {
        let mut tail = Tail::Whole;
        loop {
            let ended = self.scan_segment(front, found)?;
            let next = front.segment + 1;
            let is_last = !self.media.exists(&self.segment_path(next));
            tail = match (tail, ended) {
                (Tail::Damaged, _) | (_, Tail::Damaged) => Tail::Damaged,
                // What a crash left unconfirmed stands at the end of all.
                (_, Tail::Torn) if !is_last => Tail::Damaged,
                (_, ended) => ended,
            };
            if is_last {
                if ended == Tail::Damaged {
                    *front = Front { segment: next, offset: 0 };
                }
                return Ok(tail);
            }
            *front = Front { segment: next, offset: 0 };
        }
    }

    fn scan_segment(
        &self,
        front: &mut Front,
        found: &mut dyn FnMut(Found) -> Result<(), LedgerError>,
    ) -> Result<Tail, LedgerError> {
        let path = self.segment_path(front.segment);
        if !self.media.exists(&path) {
            return Ok(Tail::Whole);
        }
        let failed = |source| io_error("read", &path, source);
        let file = self.media.open(&path, Open::Read).map_err(failed)?;
        let mut reader = Reading::from(file, front.offset);
        loop {
            match record(&mut reader, front.offset).map_err(failed)? {
                Record::End => return Ok(Tail::Whole),
                Record::Good { hash, header, length, erased } => {
                    let offset = front.offset + header;
                    found(Found { hash, place: Place { segment: front.segment, offset, length }, erased })?;
                    front.offset = offset + u64::from(length) + 1;
                }
                Record::Torn => return Ok(Tail::Torn),
                Record::Damaged => return Ok(Tail::Damaged),
            }
        }
    }

    /// Cuts what a crash left behind `front`, and makes durable what stands before it.
    pub(super) fn make_whole(&self, front: Front) -> Result<(), LedgerError> {
        if !self.media.exists(&self.segment_path(front.segment)) {
            return Ok(());
        }
        let file = self.segment(front.segment)?;
        let cut = file.length().and_then(|length| if length > front.offset { file.cut(front.offset) } else { Ok(()) });
        let cut = cut.and_then(|()| file.sync());
        cut.map_err(|source| io_error("cut", &self.segment_path(front.segment), source))
    }
}

enum Record {
    End,
    Good { hash: Hash, header: u64, length: u32, erased: bool },
    Torn,
    Damaged,
}

/// Reads the record that begins at `start`.
fn record(reader: &mut BufReader<Reading>, start: u64) -> std::io::Result<Record> {
    use std::io::BufRead as _;
    let mut header = Vec::new();
    let read = reader.by_ref().take(96).read_until(b'\n', &mut header)?;
    if read == 0 {
        return Ok(Record::End);
    }
    let Some(line) = header.strip_suffix(b"\n") else {
        let torn = header.len() < 96 || has_hole(&header, start);
        return Ok(if torn { Record::Torn } else { Record::Damaged });
    };
    let Some((hash, length, erased)) = parse(line) else {
        return Ok(if has_hole(line, start) { Record::Torn } else { Record::Damaged });
    };
    let mut bytes = Vec::with_capacity(length as usize + 1);
    reader.by_ref().take(u64::from(length) + 1).read_to_end(&mut bytes)?;
    if bytes.len() <= length as usize {
        return Ok(Record::Torn);
    }
    let ended = bytes.pop();
    if ended == Some(b'\n') && (erased || Hash::of(&bytes) == hash) {
        return Ok(Record::Good { hash, header: read as u64, length, erased });
    }
    let hole = ended == Some(0) || has_hole(&bytes, start + read as u64);
    Ok(if hole { Record::Torn } else { Record::Damaged })
}

/// Name, length, and whether the bytes were erased. The mark of erasing may itself have been torn between two sectors.
fn parse(line: &[u8]) -> Option<(Hash, u32, bool)> {
    let (mark, rest) = line.split_first_chunk::<7>()?;
    let torn =
        |at: usize| [&ERASED[..at], &LIVE[at..]].concat() == mark || [&LIVE[..at], &ERASED[at..]].concat() == mark;
    let erased = mark != LIVE;
    if erased && !(0..=mark.len()).any(torn) {
        return None;
    }
    let (hex, length) = std::str::from_utf8(rest).ok()?.split_once(' ')?;
    Some((Hash::parse(hex)?, length.parse().ok()?, erased))
}
