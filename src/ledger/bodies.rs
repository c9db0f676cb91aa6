//! The bodies beside the chain, keyed by hash. Small ones are records of segment files (`bodies/<n>.bodies`:
//! `sha256-<hex> <length>`, newline, bytes, newline), because sled never syncs; larger ones are files of their own, synced
//! before the entry that names them. Erasing one overwrites its bytes and leaves its name: the chain stays whole.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{BufReader, Read as _, Seek as _, SeekFrom},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
};

use bytes::Bytes;

use super::{
    Hash, LedgerError, keys,
    media::{folder, io_error, sync_folder},
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
    /// Cut off by a crash.
    Torn,
    /// Not what was written.
    Damaged,
}

/// Where the next small body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Front {
    pub segment: u32,
    pub offset: u64,
}

impl Front {
    pub(super) const START: Self = Self { segment: 1, offset: 0 };
}

/// All bodies.
pub(super) struct Bodies {
    folder: PathBuf,
    segments: RwLock<BTreeMap<u32, Arc<File>>>,
}

impl Bodies {
    /// Opens or makes the folder.
    pub(super) fn open(ledger: &Path) -> Result<Self, LedgerError> {
        let this = Self { folder: ledger.join("bodies"), segments: RwLock::default() };
        folder(&this.folder.join("files"))?;
        // What a crash left half received was never named by an entry.
        let tmp = this.folder.join("tmp");
        folder(&tmp)?;
        for left in fs::read_dir(&tmp).into_iter().flatten().flatten() {
            let _ = fs::remove_file(left.path());
        }
        Ok(this)
    }

    /// Only looks: makes and removes nothing.
    pub(super) fn look(ledger: &Path) -> Self {
        Self { folder: ledger.join("bodies"), segments: RwLock::default() }
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

    pub(super) fn segment(&self, segment: u32) -> Result<Arc<File>, LedgerError> {
        let known = self.segments.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(&segment).cloned();
        if let Some(file) = known {
            return Ok(file);
        }
        let path = self.segment_path(segment);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = Arc::new(opened.map_err(|source| io_error("open", &path, source))?);
        sync_folder(&self.folder)?;
        let mut segments = self.segments.write().unwrap_or_else(std::sync::PoisonError::into_inner);
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
    pub(super) fn write(&self, front: &mut Front, records: &[u8]) -> Result<Arc<File>, LedgerError> {
        let file = self.segment(front.segment)?;
        let written = file.write_all_at(records, front.offset);
        written.map_err(|source| io_error("write", &self.segment_path(front.segment), source))?;
        front.offset += records.len() as u64;
        Ok(file)
    }

    /// Behind damage that nothing names, a further segment begins: nothing is overwritten.
    pub(super) const fn roll_after_damage(front: &mut Front) {
        *front = Front { segment: front.segment + 1, offset: 0 };
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
        if !parent.is_dir() {
            folder(&parent)?;
            sync_folder(&self.folder.join("files"))?;
        }
        fs::rename(received, &path).map_err(|source| io_error("keep", &path, source))?;
        sync_folder(&parent)
    }

    /// Keeps bytes as a file of their own; durable on return.
    pub(super) fn keep_large(&self, hash: &Hash, bytes: &[u8], name: &str) -> Result<(), LedgerError> {
        if self.file_path(hash).is_file() {
            return Ok(());
        }
        let path = self.temporary(name);
        let kept = create(&path).and_then(|file| {
            file.write_all_at(bytes, 0)?;
            file.sync_all()
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
        path.is_file() || path.with_extension("erased").is_file()
    }

    /// A body's file, where it is one of its own.
    pub(super) fn large(&self, hash: &Hash) -> Option<PathBuf> {
        Some(self.file_path(hash)).filter(|path| path.is_file())
    }

    /// A body's bytes, checked against its name; nothing where there is none or it was erased.
    pub(super) fn read(&self, store: &dyn Store, hash: &Hash) -> Result<Option<Bytes>, LedgerError> {
        self.read_at(store.get(&keys::body(hash))?.as_deref().and_then(Place::from_bytes), hash)
    }

    /// [`Self::read`] for who knows the place.
    pub(super) fn read_at(&self, place: Option<Place>, hash: &Hash) -> Result<Option<Bytes>, LedgerError> {
        let bytes = match (place, self.large(hash)) {
            (Some(place), _) => self.at(place)?,
            (None, Some(path)) => fs::read(&path).map_err(|source| io_error("read", &path, source))?,
            (None, None) => return Ok(None),
        };
        if Hash::of(&bytes) == *hash {
            return Ok(Some(bytes.into()));
        }
        if bytes.iter().all(|byte| *byte == 0) { Ok(None) } else { Err(LedgerError::Body(*hash)) }
    }

    fn at(&self, place: Place) -> Result<Vec<u8>, LedgerError> {
        let mut bytes = vec![0; place.length as usize];
        let known =
            self.segments.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(&place.segment).cloned();
        let file = known.map_or_else(|| File::open(self.segment_path(place.segment)).map(Arc::new), Ok);
        let read = file.and_then(|file| file.read_exact_at(&mut bytes, place.offset));
        read.map_err(|source| io_error("read", &self.segment_path(place.segment), source))?;
        Ok(bytes)
    }

    /// Overwrites the bytes of a body; durable on return.
    pub(super) fn erase(&self, store: &dyn Store, hash: &Hash) -> Result<(), LedgerError> {
        if let Some(place) = store.get(&keys::body(hash))?.as_deref().and_then(Place::from_bytes) {
            let file = self.segment(place.segment)?;
            let header = place.offset - format!("{hash} {}\n", place.length).len() as u64;
            let erased = file
                .write_all_at(&vec![0; place.length as usize], place.offset)
                .and_then(|()| file.write_all_at(ERASED, header))
                .and_then(|()| file.sync_data());
            return erased.map_err(|source| io_error("erase in", &self.segment_path(place.segment), source));
        }
        let path = self.file_path(hash);
        if path.is_file() {
            let mark = path.with_extension("erased");
            let erased = File::create(&mark).and_then(|file| file.sync_all()).and_then(|()| fs::remove_file(&path));
            erased.map_err(|source| io_error("erase", &path, source))?;
            sync_folder(path.parent().unwrap_or(&self.folder))?;
        }
        Ok(())
    }

    /// Reads all records from `front` on, checking each; `found` is told hash and place (also of erased ones).
    /// `front` ends behind the last whole record.
    pub(super) fn scan(
        &self,
        front: &mut Front,
        found: &mut dyn FnMut(Hash, Place) -> Result<(), LedgerError>,
    ) -> Result<Tail, LedgerError> {
        loop {
            let path = self.segment_path(front.segment);
            if !path.is_file() {
                return Ok(Tail::Whole);
            }
            let failed = |source| io_error("read", &path, source);
            let mut file = File::open(&path).map_err(failed)?;
            file.seek(SeekFrom::Start(front.offset)).map_err(failed)?;
            let mut reader = BufReader::with_capacity(256 * 1024, file);
            loop {
                match record(&mut reader).map_err(failed)? {
                    Record::End => break,
                    Record::Good { hash, header, length } => {
                        let offset = front.offset + header;
                        found(hash, Place { segment: front.segment, offset, length })?;
                        front.offset = offset + u64::from(length) + 1;
                    }
                    Record::Torn => return Ok(Tail::Torn),
                    Record::Damaged => return Ok(Tail::Damaged),
                }
            }
            if !self.segment_path(front.segment + 1).is_file() {
                return Ok(Tail::Whole);
            }
            *front = Front { segment: front.segment + 1, offset: 0 };
        }
    }

    /// Cuts what a crash left behind `front`.
    pub(super) fn cut(&self, front: Front) -> Result<(), LedgerError> {
        let file = self.segment(front.segment)?;
        let cut = file.set_len(front.offset).and_then(|()| file.sync_data());
        cut.map_err(|source| io_error("cut", &self.segment_path(front.segment), source))
    }
}

/// A new file that only its owner may read.
pub(super) fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)
}

enum Record {
    End,
    Good { hash: Hash, header: u64, length: u32 },
    Torn,
    Damaged,
}

fn record(reader: &mut BufReader<File>) -> std::io::Result<Record> {
    use std::io::BufRead as _;
    let mut header = Vec::new();
    let read = reader.by_ref().take(96).read_until(b'\n', &mut header)?;
    if read == 0 {
        return Ok(Record::End);
    }
    let Some(line) = header.strip_suffix(b"\n") else {
        let whole = header.len() < 96 || header.ends_with(&[0; 16]);
        return Ok(if whole { Record::Torn } else { Record::Damaged });
    };
    let Some((hash, length, erased)) = parse(line) else { return Ok(Record::Damaged) };
    let mut bytes = Vec::with_capacity(length as usize + 1);
    reader.by_ref().take(u64::from(length) + 1).read_to_end(&mut bytes)?;
    if bytes.len() <= length as usize {
        return Ok(Record::Torn);
    }
    let good = bytes.pop() == Some(b'\n') && (Hash::of(&bytes) == hash || erased && bytes.iter().all(|b| *b == 0));
    if good {
        return Ok(Record::Good { hash, header: read as u64, length });
    }
    Ok(if bytes.ends_with(&[0; 16]) { Record::Torn } else { Record::Damaged })
}

fn parse(line: &[u8]) -> Option<(Hash, u32, bool)> {
    let erased = line.starts_with(ERASED);
    let rest = line.strip_prefix(if erased { ERASED } else { LIVE })?;
    let (hex, length) = std::str::from_utf8(rest).ok()?.split_once(' ')?;
    Some((Hash::parse(hex)?, length.parse().ok()?, erased))
}
