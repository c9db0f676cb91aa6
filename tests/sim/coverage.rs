//! What happened how often in all worlds of this process: events by name, and every cell of the state machine (a state, and what a
//! fact told of it). The cells are counted by playing the ledger's entries again; they judge nothing, they show what was tried.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use liaison::ledger::{
    Delay, Draft, Entry, Fact, InFlight, ItemKind, Standing, State, SyncId, Target, Told, transition,
};

static EVENTS: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());
static CELLS: Mutex<BTreeMap<Cell, u64>> = Mutex::new(BTreeMap::new());

/// A state and what was told, as `src/ledger/tests/states.rs` names them.
pub type Cell = (&'static str, &'static str);

const STATES: [&str; 10] = [
    "ready",
    "ready, delayed",
    "waiting",
    "sending",
    "unknown",
    "synced",
    "conflict",
    "parked",
    "parked, outcome open",
    "resolved",
];
const FACTS: [&str; 17] = [
    "v2 aimed",
    "v2 applied",
    "attempted",
    "acknowledged in part",
    "acknowledged",
    "deferred",
    "unsettled",
    "waited",
    "woken",
    "spared",
    "parked",
    "parked as unknown",
    "conflicted",
    "retried",
    "decided to send",
    "decided, nothing to send",
    "old item decided",
];

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something that the run as a whole must have met.
pub fn count(event: &'static str) {
    *held(&EVENTS).entry(event).or_default() += 1;
}

pub fn events() -> BTreeMap<&'static str, u64> {
    held(&EVENTS).clone()
}

/// How often each cell occurred that can occur by the rules, those that never did included.
pub fn cells() -> BTreeMap<Cell, u64> {
    let struck = held(&CELLS);
    let mut cells = BTreeMap::new();
    for state in STATES {
        for fact in FACTS {
            if is_possible(state, fact) {
                cells.insert((state, fact), struck.get(&(state, fact)).copied().unwrap_or(0));
            }
        }
    }
    cells
}

/// Why the engine never comes to a cell, though the rules allow it (a fold must know what to do with whatever a log holds).
pub fn never(state: &str, fact: &str) -> Option<&'static str> {
    Some(match (state, fact) {
        (state, "woken") if state != "waiting" => "only what waits is woken",
        (state, "old item decided") if state != "parked" => "a sync has one open item at a time",
        (state, "parked as unknown") if state != "unknown" => "only what was read back in vain is unknown",
        ("conflict", "parked") => "it has no turn",
        ("sending" | "unknown", "conflicted") => "a fetch leaves it alone until it is settled",
        ("parked, outcome open", "conflicted" | "parked" | "v2 applied") => {
            "whoever can fetch the record can read it back, which settles it"
        }
        ("ready, delayed", "spared") => "what calls it off makes it ready, and its next turn asks nobody",
        ("waiting", "decided to send") => "what waits is not there yet, and nothing of it is in conflict",
        ("synced", "conflicted") => "where nothing of ours is to be sent, theirs is taken in",
        ("synced", "retried") | ("synced" | "resolved", "decided to send") => "its item is closed",
        ("parked" | "parked, outcome open", "decided to send") => "only a conflict is decided so",
        ("waiting", "conflicted" | "v2 applied") => "no visit here changes its patient: what waits is not there yet",
        ("ready, delayed", "waited") => "no visit here changes its patient",
        ("waiting", "spared") => "what calls it off makes it ready",
        ("unknown", "acknowledged") => "what was read back is compared before it counts as done",
        _ => return None,
    })
}

fn is_possible(state: &str, fact: &str) -> bool {
    let at = Timestamp::UNIX_EPOCH;
    let delay = Delay { from: at, ms: 1 };
    let flight = InFlight { seq: 1, version: 1, part: "main".to_owned(), interaction: "create".to_owned() };
    let on = vec![SyncId::given("another")];
    let standing = match state {
        "ready" => State::NEW,
        "ready, delayed" => State::Ready { delay: Some(delay) },
        "waiting" => State::Waiting { on: on.clone(), delay },
        "sending" => State::Sending { flight: flight.clone() },
        "unknown" => State::Unknown { flight: flight.clone(), delay },
        "synced" => State::Synced,
        "conflict" => State::Conflict { item: "w-1".to_owned() },
        "parked" => State::Parked { item: "w-1".to_owned(), flight: None },
        "parked, outcome open" => State::Parked { item: "w-1".to_owned(), flight: Some(flight.clone()) },
        _ => State::Resolved { flight: None },
    };
    let asked = |kind, conflict| Told::Asked { version: 1, item: "w-9".to_owned(), kind, conflict };
    let told = match fact {
        "v2 aimed" => Told::Aimed { version: 2 },
        "v2 applied" => Told::Applied { version: 2 },
        "attempted" => Told::Attempted { attempt: 2, flight },
        "acknowledged in part" => Told::Acknowledged { version: 1, done: false },
        "acknowledged" => Told::Acknowledged { version: 1, done: true },
        "deferred" => Told::Deferred { version: 1, delay },
        "unsettled" => Told::Unsettled { delay },
        "waited" => Told::Waited { version: 1, on, delay },
        "woken" => Told::Woken,
        "spared" => Told::Spared,
        "parked" => asked(ItemKind::Rejected, false),
        "parked as unknown" => asked(ItemKind::Unknown, false),
        "conflicted" => asked(ItemKind::Conflict, true),
        "retried" => Told::Retried { item: "w-1".to_owned() },
        "decided to send" => Told::Decided { item: "w-1".to_owned(), own: true, send: true },
        "decided, nothing to send" => Told::Decided { item: "w-1".to_owned(), own: true, send: false },
        _ => Told::Decided { item: "w-0".to_owned(), own: false, send: true },
    };
    transition(&Standing { wanted: 1, about: 1, attempts: 1, state: standing }, &told, at).is_ok()
}

fn name_of(state: &State) -> &'static str {
    match state {
        State::Ready { delay: None } => "ready",
        State::Ready { .. } => "ready, delayed",
        State::Waiting { .. } => "waiting",
        State::Sending { .. } => "sending",
        State::Unknown { .. } => "unknown",
        State::Synced => "synced",
        State::Conflict { .. } => "conflict",
        State::Parked { flight: None, .. } => "parked",
        State::Parked { .. } => "parked, outcome open",
        State::Resolved { .. } => "resolved",
    }
}

fn name_told(told: &Told, before: &State) -> &'static str {
    match told {
        Told::Aimed { .. } => "v2 aimed",
        Told::Applied { .. } => "v2 applied",
        Told::Attempted { .. } => "attempted",
        Told::Acknowledged { done: false, .. } => "acknowledged in part",
        Told::Acknowledged { .. } => "acknowledged",
        Told::Deferred { .. } => "deferred",
        Told::Unsettled { .. } => "unsettled",
        Told::Waited { .. } => "waited",
        Told::Woken => "woken",
        Told::Spared => "spared",
        Told::Asked { conflict: true, .. } => "conflicted",
        Told::Asked { kind: ItemKind::Unknown, .. } => "parked as unknown",
        Told::Asked { .. } => "parked",
        Told::Retried { .. } => "retried",
        Told::Decided { item, send, .. } => match before {
            State::Conflict { item: asked } | State::Parked { item: asked, .. } if asked != item => "old item decided",
            _ if *send => "decided to send",
            _ => "decided, nothing to send",
        },
    }
}

/// The syncs of a ledger, as its entries tell of them.
#[derive(Default)]
pub struct Cells {
    syncs: BTreeMap<SyncId, (Standing, Option<String>)>,
    arrived: BTreeSet<SyncId>,
    struck: BTreeMap<Cell, u64>,
}

impl Cells {
    /// Tells which seed met the cell that `SIM_CELL` names.
    fn sought(&self, seed: u64) {
        let Ok(sought) = std::env::var("SIM_CELL") else { return };
        if self.struck.keys().any(|(state, fact)| format!("{state} + {fact}") == sought) {
            println!("seed {seed} meets {sought}");
        }
    }

    /// Counts what these entries, the ledger's from the first, tell.
    pub fn of(entries: &[Entry], seed: u64) {
        let mut cells = Self::default();
        for entry in entries {
            cells.take(entry);
        }
        cells.sought(seed);
        let mut all = held(&CELLS);
        for (cell, count) in cells.struck {
            *all.entry(cell).or_default() += count;
        }
    }

    fn tell(&mut self, id: &SyncId, told: &Told, at: Timestamp) {
        let Some((standing, _)) = self.syncs.get_mut(id) else { return };
        let cell = (name_of(&standing.state), name_told(told, &standing.state));
        if let Ok(after) = transition(standing, told, at) {
            *self.struck.entry(cell).or_default() += 1;
            *standing = after;
        }
        if matches!(standing.state, State::Resolved { .. }) {
            self.wake(id, at);
        }
    }

    /// It is there, or never will be: those that wait for it are woken.
    fn wake(&mut self, id: &SyncId, at: Timestamp) {
        let waits = |standing: &Standing| matches!(&standing.state, State::Waiting { on, .. } if on.contains(id));
        let waiting: Vec<SyncId> =
            self.syncs.iter().filter(|(_, (standing, _))| waits(standing)).map(|(id, _)| id.clone()).collect();
        for id in waiting {
            self.tell(&id, &Told::Woken, at);
        }
    }

    fn arrives(&mut self, id: &SyncId, at: Timestamp) {
        if self.arrived.insert(id.clone()) {
            self.wake(id, at);
        }
    }

    fn aim(&mut self, targets: &[Target], version: u64, at: Timestamp) {
        for target in targets {
            if self.syncs.contains_key(&target.sync_id) {
                self.tell(&target.sync_id, &Told::Aimed { version }, at);
            } else {
                self.syncs.insert(target.sync_id.clone(), (Standing::new(version), None));
            }
        }
    }

    fn take(&mut self, entry: &Entry) {
        let (draft, at) = (&entry.draft, entry.at);
        let Draft { fact, version, .. } = draft;
        if let Fact::Accepted { targets, .. } = fact {
            return self.aim(targets, version.unwrap_or(1), at);
        }
        let Some(id) = draft.sync_id.clone() else { return };
        if let Fact::Applied { targets, remotes, .. } = fact {
            let applied = version.unwrap_or(1);
            if !targets.iter().any(|target| target.sync_id == id) {
                if !self.syncs.contains_key(&id) {
                    self.syncs.insert(id.clone(), (Standing::new(applied), None));
                }
                self.tell(&id, &Told::Applied { version: applied }, at);
            }
            self.aim(targets, applied, at);
            if !remotes.is_empty() {
                self.arrives(&id, at);
            }
            return;
        }
        let Some((standing, item)) = self.syncs.get(&id).cloned() else { return };
        let version = version.unwrap_or(standing.about);
        let delay = |ms: u64| Delay { from: at, ms };
        let told = match fact {
            Fact::Attempted { attempt, part, interaction, .. } => {
                let flight = InFlight { seq: entry.seq, version, part: part.clone(), interaction: interaction.clone() };
                Told::Attempted { attempt: *attempt, flight }
            }
            Fact::Acknowledged { done, .. } => Told::Acknowledged { version, done: *done },
            Fact::Deferred { delay_ms } => Told::Deferred { version, delay: delay(*delay_ms) },
            Fact::Unsettled { delay_ms } => Told::Unsettled { delay: delay(*delay_ms) },
            Fact::Waited { on, patience_ms } => {
                let ended = |id: &SyncId| {
                    self.syncs.get(id).is_none_or(|(standing, _)| matches!(standing.state, State::Resolved { .. }))
                };
                let on: Vec<SyncId> =
                    on.iter().filter(|id| !self.arrived.contains(*id) && !ended(id)).cloned().collect();
                if on.is_empty() {
                    return;
                }
                Told::Waited { version, on, delay: delay(*patience_ms) }
            }
            Fact::Spared {} => Told::Spared,
            Fact::Parked { item: asks } | Fact::Conflicted { item: asks, .. } => {
                let conflict = matches!(fact, Fact::Conflicted { .. });
                let item = item.unwrap_or_else(|| format!("w-{}", entry.seq));
                Told::Asked { version, item, kind: asks.kind, conflict }
            }
            Fact::Retried { item } => Told::Retried { item: item.clone() },
            Fact::Resolved { item, send, .. } => Told::Decided { item: item.clone(), own: false, send: *send },
            Fact::Dismissed { item, .. } => Told::Decided { item: item.clone(), own: false, send: false },
            Fact::Observed { remotes } | Fact::Linked { remotes } => {
                if !remotes.is_empty() {
                    self.arrives(&id, at);
                }
                return;
            }
            _ => return,
        };
        let mut told = told;
        if let (Told::Decided { item, own, .. }, Some((_, open))) = (&mut told, self.syncs.get(&id)) {
            *own = open.as_ref() == Some(item);
        }
        self.tell(&id, &told, at);
        if let Some((standing, open)) = self.syncs.get_mut(&id) {
            match (&told, &standing.state) {
                (Told::Asked { item, .. }, State::Conflict { .. } | State::Parked { .. }) => *open = Some(item.clone()),
                (Told::Decided { item, .. }, _) if open.as_ref() == Some(item) => *open = None,
                (_, State::Synced) => *open = None,
                _ => {}
            }
        }
        if matches!(fact, Fact::Acknowledged { remotes, .. } if !remotes.is_empty()) {
            self.arrives(&id, at);
        }
    }
}
