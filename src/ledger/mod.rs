//! The ledger: the only truth. Entries are past-tense facts in an append-only, hash-chained log of our own (one JSON
//! line an entry); whatever else is read here (objects, syncs, worklist, links, cursors, outbox) is a fold over
//! them that can be deleted and replayed. Bodies live beside the chain, keyed by hash. Only `sled.rs` knows
//! sled. Refuses to know what FHIR means, to answer before the disk has it, and to go on after a failed sync.
//!
//! The facade (`Ledger`, cheap to clone; reads are quick and synchronous; all `Result<_, LedgerError>`):
//! `Ledger::open(&Path, Options::new(clock))`, `async commit(Proposal) -> Outcome`, `commit_blocking`,
//! `head() -> u64`, `watch() -> watch::Receiver<u64>`, `entry(seq) -> Option<Entry>`, `entries(from, limit)`,
//! `history(&ObjectName, &ObjectId) -> Vec<Entry>`, `body(&Hash) -> Option<Bytes>`,
//! `object(&ObjectName, &ObjectId) -> Option<ObjectRow>`, `objects(&ObjectName, after: Option<&ObjectId>, limit)`,
//! `sync(&SyncId) -> Option<SyncRow>`, `syncs(&SyncFilter)`, `syncs_of(&ObjectName, &ObjectId)`,
//! `parts(&SyncId) -> Vec<PartRow>` (link and base), `linked_at(&SystemName, reference) -> Vec<PartRow>`,
//! `cursor(&SystemName, resource_type) -> Option<Cursor>`, `due(&SystemName, now, but, limit) -> Due` (ready
//! ones oldest first, then those whose delay is over; and how long until more are due),
//! `in_flight(&SystemName) -> Vec<SyncRow>` (state `sending`: after a start, unknown), `item(id)`, `items(&WorkFilter)`,
//! `groups()`, `item_json(&ItemRow)`, `remembered(&Idempotency) -> Option<Receipt>`, `attachment(&Hash)`, `counts()`.

mod audit;
mod backup;
mod behind;
mod bodies;
mod checkpoint;
mod commit;
mod decide;
mod due;
mod entry;
mod error;
mod fact;
mod fold;
mod hash;
mod item;
mod keys;
#[expect(clippy::module_inception, reason = "the room's main type has the room's name")]
mod ledger;
mod log;
mod media;
mod memory;
mod open;
mod order;
mod proposal;
mod read;
mod read_work;
mod receive;
mod rows;
mod scan;
#[path = "sled.rs"]
mod sled_store;
mod state;
mod store;
mod told;
mod work;

pub use audit::{Audit, Verified, rebuild};
pub use backup::{Copied, backup};
pub use bodies::INLINE_LIMIT;
pub use due::Due;
pub use entry::{Draft, Entry, Remembering};
pub use error::LedgerError;
pub use fact::{Fact, Operation, Remote, Settled, Target};
pub use hash::Hash;
pub use item::{Item, ItemKind};
pub use ledger::{Folds, Ledger, Options, Writing};
pub use media::{Disk, Media, MediaFile, Open};
pub use memory::MemoryFolds;
pub use proposal::{Answer, Check, Expect, Idempotency, Outcome, Proposal, Receipt};
pub use receive::{Received, Receiving};
pub use rows::{Attachment, Cursor, Former, ObjectRow, PartRow, Pause, SyncFilter, SyncId, SyncRow, SyncState};
pub use state::{Delay, Impossible, InFlight, Standing, State, transition};
pub use told::Told;
pub use work::{Comment, GroupRow, ItemRow, ItemStatus, WorkFilter};

#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod tests;
