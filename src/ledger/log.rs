//! The log's files: segments `log/<first seq>.ndjson`, one line an entry, and beside them `index/<first seq>.ends` with
//! each line's end as eight bytes, so that an entry is found by its sequence at once. The index can be deleted.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
};

use super::{
    Entry, LedgerError,
    media::{folder, io_error, sync_folder},
};

/// One file of the log, open for reading and (the last one) appending.
pub(super) struct Segment {
    /// Sequence of its first entry.
    pub first: u64,
    pub path: PathBuf,
    pub file: File,
    pub ends: File,
}

/// All segments in order.
pub(super) struct Log {
    folder: PathBuf,
    ends: PathBuf,
    segments: RwLock<Vec<Arc<Segment>>>,
}

fn open(path: &Path) -> Result<File, LedgerError> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    opened.map_err(|source| io_error("open", path, source))
}

/// The segments' files below a ledger's folder, in order.
pub(super) fn files(ledger: &Path) -> Result<Vec<(u64, PathBuf)>, LedgerError> {
    let folder = ledger.join("log");
    let listed = fs::read_dir(&folder).map_err(|source| io_error("read", &folder, source))?;
    let mut files = Vec::new();
    for file in listed {
        let path = file.map_err(|source| io_error("read", &folder, source))?.path();
        let first = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".ndjson")?.parse().ok());
        files.extend(first.map(|first| (first, path)));
    }
    files.sort();
    Ok(files)
}

impl Log {
    /// Opens what is there, or makes the first segment.
    pub(super) fn open(ledger: &Path) -> Result<Self, LedgerError> {
        let (log, ends) = (ledger.join("log"), ledger.join("index"));
        folder(&log)?;
        folder(&ends)?;
        let this = Self { folder: log, ends, segments: RwLock::default() };
        for (first, _) in files(ledger)? {
            this.add(first)?;
        }
        if this.segments().is_empty() {
            this.add(1)?;
            sync_folder(&this.folder)?;
            sync_folder(ledger)?;
        }
        Ok(this)
    }

    fn add(&self, first: u64) -> Result<Arc<Segment>, LedgerError> {
        let path = self.folder.join(format!("{first:012}.ndjson"));
        let ends = open(&self.ends.join(format!("{first:012}.ends")))?;
        let segment = Arc::new(Segment { first, file: open(&path)?, path, ends });
        self.segments.write().unwrap_or_else(std::sync::PoisonError::into_inner).push(Arc::clone(&segment));
        Ok(segment)
    }

    /// Begins a further segment; its name is durable on return.
    pub(super) fn roll(&self, first: u64) -> Result<Arc<Segment>, LedgerError> {
        let segment = self.add(first)?;
        sync_folder(&self.folder)?;
        Ok(segment)
    }

    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn holding(&self, seq: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let after = segments.partition_point(|segment| segment.first <= seq);
        after.checked_sub(1).map(|at| Arc::clone(&segments[at]))
    }

    /// Reads one entry; the caller knows that it exists.
    pub(super) fn entry(&self, seq: u64) -> Result<Entry, LedgerError> {
        let missing = || LedgerError::Folds(format!("entry {seq} is not in the index"));
        let segment = self.holding(seq).ok_or_else(missing)?;
        let (start, end) = segment.span(seq).ok_or_else(missing)?;
        let length = usize::try_from(end.saturating_sub(start)).map_err(|_| missing())?;
        let mut line = vec![0; length];
        segment.file.read_exact_at(&mut line, start).map_err(|source| io_error("read", &segment.path, source))?;
        line.pop();
        let damaged = |why| LedgerError::Damaged { seq, offset: start, file: segment.path.clone(), why };
        let entry = Entry::read(&line).map_err(damaged)?;
        if entry.seq == seq { Ok(entry) } else { Err(missing()) }
    }
}

impl Segment {
    /// Where the line of an entry begins and ends, by the index.
    pub(super) fn span(&self, seq: u64) -> Option<(u64, u64)> {
        let place = seq.checked_sub(self.first)?;
        let mut two = [0; 16];
        if place == 0 {
            self.ends.read_exact_at(&mut two[8..], 0).ok()?;
        } else {
            self.ends.read_exact_at(&mut two, (place - 1) * 8).ok()?;
        }
        let (start, end) = two.split_at(8);
        Some((u64::from_le_bytes(start.try_into().ok()?), u64::from_le_bytes(end.try_into().ok()?)))
    }

    /// Notes where lines end, from the entry `seq` on. Not synced: the index can be made again.
    pub(super) fn note_ends(&self, seq: u64, ends: &[u64]) -> Result<(), LedgerError> {
        let bytes: Vec<u8> = ends.iter().flat_map(|end| end.to_le_bytes()).collect();
        let written = self.ends.write_all_at(&bytes, seq.saturating_sub(self.first) * 8);
        written.map_err(|source| io_error("write the index of", &self.path, source))
    }

    pub(super) fn length(&self) -> Result<u64, LedgerError> {
        Ok(self.file.metadata().map_err(|source| io_error("read", &self.path, source))?.len())
    }

    /// Cuts what follows.
    pub(super) fn cut(&self, length: u64) -> Result<(), LedgerError> {
        let cut = self.file.set_len(length).and_then(|()| self.file.sync_data());
        cut.map_err(|source| io_error("cut", &self.path, source))
    }
}
