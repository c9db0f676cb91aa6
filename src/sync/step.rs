//! What deciding hears and what it says: the words between the pure middle and the shell that carries them out.

use super::{
    merge::{Differences, Outcome},
    prepare::Outgoing,
    record::Trouble,
};
use crate::{
    ehr::{Failure, Seen},
    ledger::{Hash, SyncId},
};

/// What was heard.
#[derive(Clone, Debug)]
pub(super) enum Heard {
    /// It is this sync's turn.
    Turn,
    /// One of its parts, by name, as the EHR holds it now.
    Read(String, Result<Seen, Failure>),
    /// What carries its identifier there, asked before it is created.
    Found(Result<Vec<Seen>, Failure>),
    /// The answer to the write.
    Written(Result<Seen, Failure>),
    /// What the write left, read once more because the answer showed something else.
    Confirmed(Result<Seen, Failure>),
    /// What stood before the version that was written, where versions cannot be counted.
    Before(Result<Option<Seen>, Failure>),
    /// The version between the one that was read and the one that was written.
    Between(Result<Seen, Failure>),
    /// The answer to writing the edit and ours joined.
    Rejoined(Result<Seen, Failure>),
    /// What reading back showed.
    Looked(Result<Sight, Failure>),
}

/// What reading back showed.
#[derive(Clone, Debug)]
pub(super) enum Sight {
    /// It is there.
    Found(Box<Seen>),
    /// More than one is.
    Several,
    /// It was not shown.
    Nothing {
        /// When a resource of ours was sent that was shown just before, by the steady clock.
        witness: Option<jiff::SignedDuration>,
    },
    /// There is nothing to look for it by.
    Nameless,
}

/// A request to make.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    /// Reads a part, by name.
    Part { part: String, kind: String, id: String },
    /// Looks for what carries its identifier.
    Find { kind: String, system: String, value: String },
    /// Reads once more what the write left.
    Again { kind: String, id: String },
    /// Reads what stood before this version, made from that which was read.
    Before { kind: String, id: String, read: String, version: String },
    /// Reads one old version.
    Version { kind: String, id: String, version: String },
    /// Writes an edit that was written over, joined with ours.
    Rejoin { kind: String, id: String, body: Box<serde_json::Value>, version: Option<String> },
    /// Reads back what the open attempt did.
    Look(Look),
}

/// How an open attempt is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// By its id there.
    At { kind: String, id: String },
    /// By our identifier.
    By { kind: String, system: String, value: String },
    /// Not at all.
    Nohow,
}

/// How a part travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// `PUT` over what is held, only at this version.
    Update { id: String, version: Option<String> },
    /// `PUT` to an id of ours: repeatable.
    PutCreate { id: String },
    /// `POST`, with a condition where it is honoured.
    Create { condition: Option<String> },
}

impl Way {
    pub const fn interaction(&self) -> &'static str {
        match self {
            Self::Update { .. } => "update",
            Self::PutCreate { .. } => "put-create",
            Self::Create { .. } => "create",
        }
    }
}

/// A part about to be sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub part: Outgoing,
    pub way: Way,
    /// No further part is missing.
    pub last: bool,
    /// Canonical hash of its content.
    pub output: Hash,
}

/// What the system has.
#[derive(Clone, Debug)]
pub(super) struct Has {
    /// All of it.
    pub done: bool,
    /// Its parts there, by name.
    pub parts: Vec<(String, Seen)>,
    /// Canonical hash of what was sent.
    pub output: Option<Hash>,
    /// Their bodies are what was sent: what the EHR made of it is looked at next, after this long.
    pub as_sent: Option<u64>,
    /// What stays settled, where that was looked at.
    pub settled: Option<Differences>,
    /// What is said of the system.
    pub sentence: &'static str,
}

impl Has {
    /// A part was found there; what it was made from is known.
    pub fn found(seen: Seen, part: &str, sentence: &'static str) -> Self {
        Self { done: false, parts: vec![(part.to_owned(), seen)], output: None, as_sent: None, settled: None, sentence }
    }
}

/// Facts to record; they end the turn.
#[derive(Debug)]
pub(super) enum Note {
    /// The system has something of it.
    Has(Has),
    /// Known not done: again after this.
    Later { wait_ms: u64, code: Option<&'static str>, sentence: String },
    /// Perhaps done: read back after this.
    Open { wait_ms: u64, code: &'static str, sentence: String },
    /// Others first.
    Waits(Vec<SyncId>),
    /// A person is asked.
    Asks(Trouble),
    /// Both sides changed a field.
    Conflict { trouble: Trouble, theirs: Vec<(String, Seen)> },
    /// Theirs is taken over; with `back` ours goes there still.
    Takes { outcome: Box<Outcome>, seen: Vec<(String, Seen)>, back: bool },
    /// It was there and is not any more: a person is asked.
    Gone(Trouble),
    /// Something is told that stands by itself, and then this.
    Told(Trouble, Box<Note>),
    /// It never left and is called off.
    Spared,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Step {
    Ask(Ask),
    /// `Attempted` is recorded, then it is sent.
    Send(Box<Sent>),
    /// An attempt to bring back what was written over is recorded, then it is sent.
    Restore {
        ask: Ask,
        sentence: String,
    },
    Record(Note),
}
