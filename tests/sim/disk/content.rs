//! What a file holds, and what of it an unsynced disk may keep.

const SECTOR: usize = 512;

/// A change of a file that was not synced yet.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) now: Vec<u8>,
    pub(super) synced: Vec<u8>,
    pub(super) since: Vec<Change>,
}

impl Content {
    pub(super) fn write(&mut self, bytes: &[u8], at: usize) {
        put(&mut self.now, bytes, at);
        self.since.push(Change::Write { at, bytes: bytes.to_vec() });
    }

    pub(super) fn resize(&mut self, length: usize) {
        self.now.resize(length, 0);
        self.since.push(Change::Length(length));
    }

    pub(super) fn sync(&mut self) {
        self.synced.clone_from(&self.now);
        self.since.clear();
    }

    /// What is left after a power cut.
    pub(super) fn cut(&mut self, chance: &mut fastrand::Rng) {
        if self.since.is_empty() {
            return;
        }
        // Any length that it had since the sync.
        let mut lengths = vec![self.synced.len()];
        for change in &self.since {
            let last = lengths.last().copied().unwrap_or(0);
            lengths.push(match change {
                Change::Write { at, bytes } => last.max(at + bytes.len()),
                Change::Length(length) => *length,
            });
        }
        let length = lengths[chance.usize(0..lengths.len())];
        let mut left = self.synced.clone();
        left.resize(left.len().max(lengths.iter().copied().max().unwrap_or(0)), 0);
        // All, nothing, or some of the sectors, each written in its order.
        let keeps = [0, 128, 255, 256][chance.usize(0..4)];
        for change in &self.since {
            let Change::Write { at, bytes } = change else { continue };
            let mut from = 0;
            while from < bytes.len() {
                let to = ((at + from) / SECTOR * SECTOR + SECTOR - at).min(bytes.len());
                if chance.u32(0..256) < keeps {
                    put(&mut left, &bytes[from..to], at + from);
                }
                from = to;
            }
        }
        left.truncate(length);
        self.now = left;
        self.sync();
    }
}

fn put(into: &mut Vec<u8>, bytes: &[u8], at: usize) {
    if into.len() < at + bytes.len() {
        into.resize(at + bytes.len(), 0);
    }
    into[at..at + bytes.len()].copy_from_slice(bytes);
}
