//! Reading the log from a place on and checking every line: its own hash, its sequence, the hash before. Tells a torn
//! tail (what a crash leaves: it was never confirmed) from damage (anything else), and says where either begins.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use super::{Entry, Hash, LedgerError, media::io_error};

/// Where the chain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tip {
    /// The last entry's sequence; 0 before the first.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
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

/// So many NULs in a row are no text of ours: a page that never reached the disk.
const HOLE: [u8; 16] = [0; 16];

/// Reads a segment from `offset` on. `take` is told each good entry and where its line begins and ends. A torn tail
/// is possible only in the last segment.
pub(super) fn segment(
    path: &Path,
    offset: u64,
    tip: &mut Tip,
    last: bool,
    mut take: impl FnMut(Entry, u64, u64) -> Result<(), LedgerError>,
) -> Result<End, LedgerError> {
    let failed = |source| io_error("read", path, source);
    let mut file = File::open(path).map_err(failed)?;
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut reader = BufReader::with_capacity(256 * 1024, file);
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
                return Ok(if last && is_torn(&line, tip) { End::Torn(start) } else { End::Damaged(start, why) });
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

/// A crash leaves a line without its end, or a page of NULs. A whole line with a spoilt end is damage.
fn is_torn(rest: &[u8], tip: &Tip) -> bool {
    if rest.windows(HOLE.len()).any(|window| window == HOLE) {
        return true;
    }
    let spoilt_end = rest.len() > 1 && check(&rest[..rest.len() - 1], tip).is_ok();
    !rest.contains(&b'\n') && !spoilt_end
}
