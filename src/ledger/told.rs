//! What facts say of one object at one system: the input of [`transition`](super::transition).

use super::{Delay, InFlight, ItemKind, SyncId};

/// What a fact says of one object at one system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A newer version must go there.
    Aimed {
        /// The version.
        version: u64,
    },
    /// A newer version came from there, and need not go back.
    Applied {
        /// The version.
        version: u64,
    },
    /// Something is being sent.
    Attempted {
        /// The how-manieth try it is.
        attempt: u32,
        /// What is sent.
        flight: InFlight,
    },
    /// The system has a part of this version, or all of it.
    Acknowledged {
        /// The version.
        version: u64,
        /// All of it.
        done: bool,
    },
    /// Known not to have happened.
    Deferred {
        /// The version.
        version: u64,
        /// Until when.
        delay: Delay,
    },
    /// May have happened.
    Unsettled {
        /// Until it is read back.
        delay: Delay,
    },
    /// Others must reach the system first.
    Waited {
        /// The version.
        version: u64,
        /// Their syncs.
        on: Vec<SyncId>,
        /// When a person is asked.
        delay: Delay,
    },
    /// One of those that it waits for moved.
    Woken,
    /// It never left and was called off.
    Spared,
    /// A person is asked.
    Asked {
        /// The version that it is about.
        version: u64,
        /// The worklist item.
        item: String,
        /// Why.
        kind: ItemKind,
        /// Both sides changed a field.
        conflict: bool,
    },
    /// A person wants it tried again.
    Retried {
        /// The worklist item.
        item: String,
    },
    /// A person decided.
    Decided {
        /// The worklist item.
        item: String,
        /// It is the sync's own and about the version that is wanted, also where its state does not name it any more (a retry is
        /// under way).
        own: bool,
        /// It must be sent.
        send: bool,
    },
}

impl Told {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Aimed { .. } => "aimed",
            Self::Applied { .. } => "applied",
            Self::Attempted { .. } => "attempted",
            Self::Acknowledged { .. } => "acknowledged",
            Self::Deferred { .. } => "deferred",
            Self::Unsettled { .. } => "unsettled",
            Self::Waited { .. } => "waited",
            Self::Woken => "woken",
            Self::Spared => "spared",
            Self::Asked { .. } => "asked",
            Self::Retried { .. } => "retried",
            Self::Decided { .. } => "decided",
        }
    }
}
