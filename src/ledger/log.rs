//! The log's files: segments `log/<first seq>.ndjson`, one line an entry, and beside them `index/<first seq>.ends` with
//! each line's end as eight bytes, so that an entry is found by its sequence at once. The index is no truth: where it
//! does not fit the log, it is made again from the log.

use std::{
    io::BufRead as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use super::{
    Entry, LedgerError,
    media::{Media, MediaFile, Open, Reading, folder, io_error, read_exact, sync_folder},
};

/// One file of the log, open for reading and (the last one) appending.
pub(super) struct Segment {
    /// Sequence of its first entry.
    pub first: u64,
    pub path: PathBuf,
    pub file: Arc<dyn MediaFile>,
    pub ends: Arc<dyn MediaFile>,
    /// One at a time makes the index again.
    mending: Mutex<()>,
}

/// All segments in order.
pub(super) struct Log {
    media: Arc<dyn Media>,
    folder: PathBuf,
    ends: PathBuf,
    segments: RwLock<Vec<Arc<Segment>>>,
}

fn open(media: &dyn Media, path: &Path) -> Result<Arc<dyn MediaFile>, LedgerError> {
    media.open(path, Open::Write).map_err(|source| io_error("open", path, source))
}

/// The segments' files below a ledger's folder, in order.
pub(super) fn files(media: &dyn Media, ledger: &Path) -> Result<Vec<(u64, PathBuf)>, LedgerError> {
    let folder = ledger.join("log");
    let mut files = Vec::new();
    for path in media.list(&folder).map_err(|source| io_error("read", &folder, source))? {
        let first = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".ndjson")?.parse().ok());
        files.extend(first.map(|first| (first, path)));
    }
    files.sort();
    Ok(files)
}

impl Log {
    /// Opens what is there, or makes the first segment.
    pub(super) fn open(media: Arc<dyn Media>, ledger: &Path) -> Result<Self, LedgerError> {
        let (log, ends) = (ledger.join("log"), ledger.join("index"));
        folder(&*media, &log)?;
        folder(&*media, &ends)?;
        let this = Self { media, folder: log, ends, segments: RwLock::default() };
        for (first, _) in files(&*this.media, ledger)? {
            this.add(first)?;
        }
        if this.segments().is_empty() {
            this.add(1)?;
            sync_folder(&*this.media, &this.folder)?;
        }
        Ok(this)
    }

    fn add(&self, first: u64) -> Result<Arc<Segment>, LedgerError> {
        let path = self.folder.join(format!("{first:012}.ndjson"));
        let ends = open(&*self.media, &self.ends.join(format!("{first:012}.ends")))?;
        let file = open(&*self.media, &path)?;
        let segment = Arc::new(Segment { first, file, path, ends, mending: Mutex::default() });
        self.segments.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&segment));
        Ok(segment)
    }

    /// Begins a further segment; its name is durable on return.
    pub(super) fn roll(&self, first: u64) -> Result<Arc<Segment>, LedgerError> {
        let segment = self.add(first)?;
        sync_folder(&*self.media, &self.folder)?;
        Ok(segment)
    }

    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn holding(&self, seq: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let after = segments.partition_point(|segment| segment.first <= seq);
        after.checked_sub(1).map(|at| Arc::clone(&segments[at]))
    }

    /// Reads one entry; the caller knows that it exists. Where the index leads astray, it is made again.
    pub(super) fn entry(&self, seq: u64) -> Result<Entry, LedgerError> {
        let missing = || LedgerError::Folds(format!("entry {seq} is not in the log"));
        let segment = self.holding(seq).ok_or_else(missing)?;
        match segment.read(seq) {
            Some(entry) => Ok(entry),
            None => segment.search(seq)?.ok_or_else(missing),
        }
    }
}

impl Segment {
    /// Where the line of an entry begins and ends, by the index.
    pub(super) fn span(&self, seq: u64) -> Option<(u64, u64)> {
        let place = seq.checked_sub(self.first)?;
        let mut two = [0; 16];
        if place == 0 {
            read_exact(&*self.ends, &mut two[8..], 0).ok()?;
        } else {
            read_exact(&*self.ends, &mut two, (place - 1) * 8).ok()?;
        }
        let (start, end) = two.split_at(8);
        Some((u64::from_le_bytes(start.try_into().ok()?), u64::from_le_bytes(end.try_into().ok()?)))
    }

    /// The entry where the index says that it is, if it is there.
    fn read(&self, seq: u64) -> Option<Entry> {
        let (start, end) = self.span(seq)?;
        let length = usize::try_from(end.checked_sub(start)?).ok()?;
        // What a spoilt index claims is not worth an allocation.
        if length == 0 || end > self.file.length().ok()? {
            return None;
        }
        let mut line = vec![0; length];
        read_exact(&*self.file, &mut line, start).ok()?;
        let entry = Entry::read(line.strip_suffix(b"\n")?).ok()?;
        (entry.seq == seq).then_some(entry)
    }

    /// Goes through the whole segment for an entry, and makes the index again on the way.
    fn search(&self, seq: u64) -> Result<Option<Entry>, LedgerError> {
        let _one = self.mending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = self.read(seq) {
            return Ok(Some(entry));
        }
        let failed = |source| io_error("read", &self.path, source);
        let mut reader = Reading::from(Arc::clone(&self.file), 0);
        let (mut start, mut next, mut line, mut ends) = (0_u64, self.first, Vec::new(), Vec::new());
        let mut found = None;
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(failed)?;
            // Behind what is asked for another may be writing.
            if read == 0 || line.last() != Some(&b'\n') || next > seq {
                break;
            }
            let entry = Entry::read(&line[..read - 1]).ok().filter(|entry| entry.seq == next);
            let Some(entry) = entry else {
                let why = "it is not what was written";
                return Err(LedgerError::Damaged { seq: next, offset: start, file: self.path.clone(), why });
            };
            start += read as u64;
            ends.push(start);
            found = (next == seq).then_some(entry);
            next += 1;
        }
        tracing::warn!(file = %self.path.display(), "the log's index did not fit and was made again");
        self.note_ends(self.first, &ends)?;
        Ok(found)
    }

    /// Notes where lines end, from the entry `seq` on. Not synced: the index can be made again.
    pub(super) fn note_ends(&self, seq: u64, ends: &[u64]) -> Result<(), LedgerError> {
        let bytes: Vec<u8> = ends.iter().flat_map(|end| end.to_le_bytes()).collect();
        let written = self.ends.write_at(&bytes, seq.saturating_sub(self.first) * 8);
        written.map_err(|source| io_error("write the index of", &self.path, source))
    }

    pub(super) fn length(&self) -> Result<u64, LedgerError> {
        self.file.length().map_err(|source| io_error("read", &self.path, source))
    }

    /// Cuts what follows.
    pub(super) fn cut(&self, length: u64) -> Result<(), LedgerError> {
        let cut = self.file.cut(length).and_then(|()| self.file.sync());
        cut.map_err(|source| io_error("cut", &self.path, source))
    }
}
