//! Where an object stands at a system, as a state machine. [`transition`] is the only thing that changes it: the writer
//! asks it before an entry is sealed, so that an impossible pair refuses the proposal; a replay asks the same one, and
//! an impossible pair is then damage. Beside the state stand `wanted`, the newest version that should be there, and
//! `about`, the version that the state speaks of. A fact that names another version than that changes links and history,
//! never the verdict. Pure.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{ItemKind, SyncId, Told, rows::stamp};

/// Clocks that are put right a little at a time, or differ a little, were not set back.
const SET_BACK: SignedDuration = SignedDuration::from_secs(-1);

/// A wait, as it was stored: so long from then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delay {
    /// Since when.
    #[serde(with = "stamp")]
    pub from: Timestamp,
    /// How long, in milliseconds.
    pub ms: u64,
}

impl Delay {
    /// How long to wait from `now`: never longer than what was stored. Where the clock was set back behind its beginning,
    /// nobody knows how much of it has passed, and it is over: once too early does no harm, an hour too late does.
    #[must_use]
    pub fn left_ms(&self, now: Timestamp) -> u64 {
        let passed = now.duration_since(self.from);
        if passed < SET_BACK {
            return 0;
        }
        self.ms.saturating_sub(u64::try_from(passed.as_millis()).unwrap_or(0))
    }
    /// When it is over.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        super::rows::plus(self.from, self.ms)
    }
}

/// An attempt without an outcome yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// Its `Attempted` entry.
    pub seq: u64,
    /// The version being sent.
    pub version: u64,
    /// The part being sent.
    pub part: String,
    /// `create`, `update` …
    pub interaction: String,
}

/// Where an object stands at a system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// To be sent: `accepted` where nothing failed yet, else `retrying`.
    Ready {
        /// Not before this is over; only after something failed.
        delay: Option<Delay>,
    },
    /// These must reach the system first. Woken by the facts that say so; the delay is when a person is asked at last.
    Waiting {
        /// Their syncs.
        on: Vec<SyncId>,
        /// The patience.
        delay: Delay,
    },
    /// Being sent (or was, when the process stopped).
    Sending {
        /// What was sent.
        flight: InFlight,
    },
    /// Perhaps done: read back before anything is sent again.
    Unknown {
        /// What was sent.
        flight: InFlight,
        /// Not before this is over.
        delay: Delay,
    },
    /// The system has the wanted version.
    Synced,
    /// Both sides changed a field: a person decides.
    Conflict {
        /// The worklist item.
        item: String,
    },
    /// Refused or undecidable: a person decides.
    Parked {
        /// The worklist item.
        item: String,
        /// An attempt whose outcome nobody could find out: read back before anything is sent again.
        flight: Option<InFlight>,
    },
    /// A person decided that nothing needs sending, or it was called off before it left.
    Resolved {
        /// An attempt whose outcome nobody found out: read back before anything newer is sent.
        flight: Option<InFlight>,
    },
}

/// All that a fact may change of where an object stands at a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The newest version that should be there.
    pub wanted: u64,
    /// The version that the state speaks of.
    pub about: u64,
    /// Tries since the version was accepted or a person asked for it again.
    pub attempts: u32,
    /// The state.
    pub state: State,
}

/// A pair of state and fact that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impossible {
    /// The state's name.
    pub state: &'static str,
    /// The fact's name.
    pub fact: &'static str,
}

impl State {
    /// To be sent at once.
    pub const NEW: Self = Self::Ready { delay: None };

    /// Its name in the design.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ready { .. } => "ready",
            Self::Waiting { .. } => "waiting",
            Self::Sending { .. } => "sending",
            Self::Unknown { .. } => "unknown",
            Self::Synced => "synced",
            Self::Conflict { .. } => "conflict",
            Self::Parked { .. } => "parked",
            Self::Resolved { .. } => "resolved",
        }
    }

    /// The attempt whose outcome is open.
    #[must_use]
    pub const fn flight(&self) -> Option<&InFlight> {
        match self {
            Self::Sending { flight }
            | Self::Unknown { flight, .. }
            | Self::Parked { flight: Some(flight), .. }
            | Self::Resolved { flight: Some(flight) } => Some(flight),
            _ => None,
        }
    }

    /// What it waits for.
    #[must_use]
    pub const fn delay(&self) -> Option<&Delay> {
        match self {
            Self::Ready { delay: Some(delay) } | Self::Unknown { delay, .. } | Self::Waiting { delay, .. } => {
                Some(delay)
            }
            _ => None,
        }
    }

    /// The item that a person must decide before anything goes on.
    fn asks(&self) -> Option<&str> {
        match self {
            Self::Conflict { item } | Self::Parked { item, .. } => Some(item),
            _ => None,
        }
    }
}

impl Standing {
    /// A version that nobody has tried to send.
    #[must_use]
    pub const fn new(version: u64) -> Self {
        Self { wanted: version, about: version, attempts: 0, state: State::NEW }
    }

    /// The wanted version is judged from the beginning.
    fn afresh(&self) -> Self {
        Self::new(self.wanted)
    }

    fn with(&self, state: State) -> Self {
        Self { state, ..self.clone() }
    }

    /// Nothing of it needs doing; what an open attempt did is still not known.
    fn given_up(&self) -> Self {
        self.with(State::Resolved { flight: self.state.flight().cloned() })
    }

    /// Read back first where an outcome is open, else sent from the beginning.
    fn again(&self, wanted: u64, at: Option<Timestamp>) -> Self {
        match (self.state.flight(), at) {
            (Some(flight), Some(from)) => Self {
                wanted,
                about: flight.version,
                attempts: self.attempts,
                state: State::Unknown { flight: flight.clone(), delay: Delay { from, ms: 0 } },
            },
            _ => Self::new(wanted),
        }
    }
}

/// What a fact makes of where an object stands. `at`: the fact's time.
///
/// # Errors
/// [`Impossible`] where the fact cannot have happened in this state.
pub fn transition(before: &Standing, told: &Told, at: Timestamp) -> Result<Standing, Impossible> {
    let impossible = Impossible { state: before.state.name(), fact: told.name() };
    match told {
        Told::Aimed { version } => aimed(before, *version, at).ok_or(impossible),
        Told::Applied { version } => match &before.state {
            // Its own push is under way: what the system shows may be that.
            State::Sending { .. } | State::Unknown { .. } => Err(impossible),
            _ if *version < before.wanted => Err(impossible),
            _ => Ok(Standing { wanted: *version, about: *version, attempts: 0, state: State::Synced }),
        },
        Told::Attempted { attempt, flight } => match &before.state {
            State::Ready { .. } if flight.version == before.wanted => Ok(Standing {
                about: flight.version,
                attempts: *attempt,
                ..before.with(State::Sending { flight: flight.clone() })
            }),
            _ => Err(impossible),
        },
        Told::Acknowledged { version, done } => acknowledged(before, *version, *done).ok_or(impossible),
        Told::Deferred { version, delay } => match &before.state {
            State::Ready { .. } | State::Sending { .. } | State::Unknown { .. } if *version == before.about => {
                // What is newer has not failed.
                if before.wanted > before.about {
                    return Ok(before.afresh());
                }
                let tries = if matches!(before.state, State::Ready { .. }) { 1 } else { 0 };
                let attempts = before.attempts.saturating_add(tries);
                Ok(Standing { attempts, ..before.with(State::Ready { delay: Some(*delay) }) })
            }
            _ => Err(impossible),
        },
        Told::Unsettled { delay } => match &before.state {
            State::Sending { flight } | State::Unknown { flight, .. } => {
                Ok(before.with(State::Unknown { flight: flight.clone(), delay: *delay }))
            }
            _ => Err(impossible),
        },
        Told::Waited { version, on, delay } => match &before.state {
            State::Ready { .. } | State::Waiting { .. } if *version == before.wanted && !on.is_empty() => {
                Ok(before.with(State::Waiting { on: on.clone(), delay: *delay }))
            }
            _ => Err(impossible),
        },
        Told::Woken => Ok(match &before.state {
            State::Waiting { .. } => before.with(State::NEW),
            _ => before.clone(),
        }),
        Told::Spared => match &before.state {
            State::Ready { .. } | State::Waiting { .. } => Ok(before.with(State::Resolved { flight: None })),
            _ => Err(impossible),
        },
        Told::Asked { version, item, kind, conflict } => {
            asked(before, *version, item, *kind, *conflict).ok_or(impossible)
        }
        Told::Retried { item } => Ok(retried(before, item, at)),
        Told::Decided { item, own, send } => Ok(match &before.state {
            state if state.asks() == Some(item) && *send => before.again(before.wanted, Some(at)),
            state if state.asks() == Some(item) => before.given_up(),
            // It is tried or looked for again because somebody asked for that, and nothing of it needs doing after all.
            State::Ready { .. } | State::Waiting { .. } | State::Unknown { .. } if *own && !*send => before.given_up(),
            // It was about an older version, or was answered by the system itself.
            _ => before.clone(),
        }),
    }
}

fn aimed(before: &Standing, version: u64, at: Timestamp) -> Option<Standing> {
    if version < before.wanted {
        return None;
    }
    match &before.state {
        // What is under way settles first.
        State::Sending { .. } | State::Unknown { .. } => Some(Standing { wanted: version, ..before.clone() }),
        // A correction does not make it known what the first attempt did.
        State::Parked { flight: Some(_), .. } | State::Resolved { flight: Some(_) } => {
            Some(before.again(version, Some(at)))
        }
        _ => Some(Standing::new(version)),
    }
}

fn acknowledged(before: &Standing, version: u64, done: bool) -> Option<Standing> {
    let speaks_of_it = match &before.state {
        State::Sending { flight } | State::Unknown { flight, .. } => flight.version == version,
        // It was there already.
        State::Ready { .. } => version == before.about,
        _ => false,
    };
    if !speaks_of_it {
        return None;
    }
    Some(match (done, before.wanted > version) {
        // A newer version came while this one was under way.
        (_, true) => before.afresh(),
        (true, false) => Standing { attempts: before.attempts, ..before.with(State::Synced) },
        // Further parts.
        (false, false) => before.with(State::NEW),
    })
}

fn asked(before: &Standing, version: u64, item: &str, kind: ItemKind, conflict: bool) -> Option<Standing> {
    let flight = before.state.flight().filter(|_| kind == ItemKind::Unknown).cloned();
    if version < before.wanted {
        // What is newer is judged by itself, unless nobody knows whether the older one is there.
        let stands_in_the_way = matches!(kind, ItemKind::Unknown | ItemKind::Identity);
        let under_way = matches!(before.state, State::Sending { .. } | State::Unknown { .. });
        return match (under_way, stands_in_the_way) {
            (true, false) => Some(before.afresh()),
            (true, true) => Some(before.with(State::Parked { item: item.to_owned(), flight })),
            (false, _) => None,
        };
    }
    let item = item.to_owned();
    Some(before.with(if conflict { State::Conflict { item } } else { State::Parked { item, flight } }))
}

fn retried(before: &Standing, item: &str, at: Timestamp) -> Standing {
    match &before.state {
        State::Conflict { item: asked } | State::Parked { item: asked, .. } if asked == item => {
            before.again(before.wanted, Some(at))
        }
        // Pressed while it waits: now rather than later. Pressed while it is sent: it is under way.
        State::Ready { delay: Some(_) } => before.with(State::Ready { delay: Some(Delay { from: at, ms: 0 }) }),
        State::Unknown { flight, .. } => {
            before.with(State::Unknown { flight: flight.clone(), delay: Delay { from: at, ms: 0 } })
        }
        _ => before.clone(),
    }
}
