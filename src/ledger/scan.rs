//! Reading the log from a place on and checking every line: its own hash, its sequence, the hash before. Tells what a
//! crash left unconfirmed (it may be cut) from damage (it may not), and says where either begins.

use std::{
    io::{BufRead as _, Read as _},
    path::Path,
    sync::Arc,
};

use super::{
    Entry, Hash, LedgerError,
    media::{Media, Open, Reading, io_error},
};

/// Where the chain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tip {
    /// The last entry's sequence; 0 before the first.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Tip {
    /// Before the first entry.
    pub(super) const START: Self = Self { seq: 0, hash: Hash::ZERO };
}

/// How a segment's reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With a whole line.
    Whole,
    /// What begins here was never confirmed.
    Torn(u64),
    /// What begins here is not what was written.
    Damaged(u64, &'static str),
}

/// What a disk writes as a whole: bytes that a power cut keeps from it are NULs up to such a border.
const SECTOR: u64 = 512;
/// So many NULs in a row are no text of ours.
const HOLE: usize = 16;

/// Reads a segment from `offset` on. `take` is told each good entry and where its line begins and ends. A torn tail
/// is possible only in the last segment, and only behind `confirmed`, the last entry that a checkpoint names.
pub(super) fn segment(
    media: &dyn Media,
    path: &Path,
    offset: u64,
    tip: &mut Tip,
    last: bool,
    confirmed: u64,
    mut take: impl FnMut(Entry, u64, u64) -> Result<(), LedgerError>,
) -> Result<End, LedgerError> {
    let failed = |source| io_error("read", path, source);
    let file = media.open(path, Open::Read).map_err(failed)?;
    let mut reader = Reading::from(Arc::clone(&file), offset);
    let (mut start, mut line) = (offset, Vec::new());
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line).map_err(failed)?;
        if read == 0 {
            return Ok(End::Whole);
        }
        let end = start + read as u64;
        match line.strip_suffix(b"\n").ok_or("the line has no end").and_then(|line| check(line, tip)) {
            Ok(entry) => {
                *tip = Tip { seq: entry.seq, hash: entry.hash };
                take(entry, start, end)?;
                start = end;
            }
            Err(why) => {
                reader.read_to_end(&mut line).map_err(failed)?;
                let torn = last && tip.seq >= confirmed && is_torn(&line, start, tip);
                return Ok(if torn { End::Torn(start) } else { End::Damaged(start, why) });
            }
        }
    }
}

fn check(line: &[u8], tip: &Tip) -> Result<Entry, &'static str> {
    let entry = Entry::read(line)?;
    if entry.seq != tip.seq + 1 {
        return Err("the sequence has a gap");
    }
    if entry.prev != tip.hash {
        return Err("it does not follow from the entry before");
    }
    Ok(entry)
}

/// Whether `rest`, which begins at `start` with a bad line, is what a power cut leaves of the last group: a line
/// without its end, or sectors that never reached the disk. What stands before an entry of a later group was synced.
fn is_torn(rest: &[u8], start: u64, tip: &Tip) -> bool {
    let bad = tip.seq + 1;
    let mut lines = rest.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let confirmed = |line: &[u8]| {
        let entry = line.strip_suffix(b"\n").and_then(|line| Entry::read(line).ok());
        entry.is_some_and(|entry| entry.group > bad)
    };
    if lines.any(confirmed) {
        return false;
    }
    let Some(whole) = first.strip_suffix(b"\n") else {
        // A whole line whose end was spoilt was written whole.
        return has_hole(first, start) || first.len() < 2 || check(&first[..first.len() - 1], tip).is_err();
    };
    has_hole(whole, start)
}

/// Whether some bytes, which begin at this place of their file, have NULs where a sector never reached the disk.
pub(super) fn has_hole(bytes: &[u8], start: u64) -> bool {
    let (mut run, length) = (0, bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        if *byte != 0 {
            if run > 0 && (start + at as u64).is_multiple_of(SECTOR) {
                return true;
            }
            run = 0;
            continue;
        }
        run += 1;
        if run >= HOLE || at + 1 == length {
            return true;
        }
    }
    false
}
