//! How far the ledger was verified: so that a start reads only what follows, and knows that nothing before was left
//! unconfirmed by a crash. Rewritten every few thousand entries and at a clean stop; not truth: without it everything
//! is verified.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{
    Hash,
    bodies::Front,
    log::Segment,
    media::{Media, Open, read_whole},
    scan::Tip,
};

/// Entries between two checkpoints.
pub(super) const EVERY: u64 = 4096;

/// A place in log and bodies up to which all is verified and synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub seq: u64,
    pub hash: Hash,
    /// First sequence of the segment that holds the entry.
    pub segment: u64,
    /// Where its line ends there.
    pub end: u64,
    /// Where the bodies end.
    pub bodies: Front,
}

impl Checkpoint {
    pub(super) const fn tip(&self) -> Tip {
        Tip { seq: self.seq, hash: self.hash }
    }

    /// Reads it; nothing where there is none that can be read.
    pub(super) fn read(media: &dyn Media, ledger: &Path) -> Option<Self> {
        serde_json::from_slice(&read_whole(media, &ledger.join("checkpoint.json")).ok()?).ok()
    }

    /// Replaces it. A failure costs only time at the next start.
    pub(super) fn write(&self, media: &dyn Media, ledger: &Path) -> std::io::Result<()> {
        let new = ledger.join("checkpoint.new");
        let file = media.open(&new, Open::New)?;
        file.write_at(&serde_json::to_vec(self)?, 0)?;
        file.sync()?;
        media.rename(&new, &ledger.join("checkpoint.json"))
    }

    /// It fits this segment: the index says that the entry ends there, and the segment is that long.
    pub(super) fn fits(&self, segment: &Segment) -> bool {
        segment.first == self.segment
            && segment.length().is_ok_and(|length| length >= self.end)
            && segment.span(self.seq).is_some_and(|(_, end)| end == self.end)
    }
}
