//! How long it takes until a person is shown each kind of trouble (PROMISES R20, R23; issue 9): one fixed plan a kind, in virtual time, under
//! the default patiences, from when the trouble begins to the open item, and for an EHR as a whole to `/readyz`. Each is held against the
//! bound of `docs/promises.md`; `cargo test --test sim bounds -- --nocapture` prints the table.

mod objects;
mod outcomes;
mod systems;

use std::time::Duration;

use liaison::sync::SystemConfig;
use serde_json::{Value, json};

use super::stage::{Seen, Stage, on_stage};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// What a few exchanges and their recording take: at once.
const AT_ONCE: Duration = Duration::from_secs(5);
/// `pull.every`: until the next fetch.
const FETCH: Duration = Duration::from_secs(30);
/// `tell_after`.
const TOLD: Duration = Duration::from_secs(300);
/// What waits is looked at at least this often.
const LOOK: Duration = Duration::from_secs(600);

/// One kind of trouble.
struct Row {
    trouble: &'static str,
    /// Until the item, at most.
    bound: Duration,
    seen: Seen,
    /// `/readyz` must say so, within this.
    down: Option<Duration>,
}

/// One row: a gateway in a world of its own.
fn row(
    trouble: &'static str,
    bound: Duration,
    adjust: fn(&mut SystemConfig),
    play: impl AsyncFnOnce(&mut Stage) -> Seen,
) -> Row {
    let seen = on_stage(Vec::new(), adjust, play);
    Row { trouble, bound, seen, down: None }
}

impl Row {
    fn down_within(self, bound: Duration) -> Self {
        Self { down: Some(bound), ..self }
    }
}

/// As `examples/liaison.toml` has it.
fn defaults(config: &mut SystemConfig) {
    let plain = SystemConfig::new(config.name.clone(), &config.base_url);
    config.give_up_after = plain.give_up_after;
    config.max_concurrency = plain.max_concurrency;
    config.pull = toml::from_str("types = [\"Patient\", \"Appointment\"]").ok();
}

/// The same, and nothing is fetched: what fetching would show too is not the matter.
fn push_only(config: &mut SystemConfig) {
    defaults(config);
    config.pull = None;
}

fn patient(id: &str) -> Value {
    json!({"id": id, "names": [{"family": "Bound", "given": ["Ada"]}], "birth_date": "1950-01-01",
        "contact_details": [{"kind": "email", "value": format!("{id}@example.org")}]})
}

fn visit(id: &str, of: &str) -> Value {
    json!({"id": id, "status": "booked", "start": "2026-06-02T09:00:00Z", "end": "2026-06-02T09:30:00Z",
        "participants": [{"who": {"object": "patient", "id": of}, "reply": "accepted"}]})
}

fn any(_: &Value) -> bool {
    true
}

/// An item about this very object.
fn about(id: &'static str) -> impl Fn(&Value) -> bool {
    move |item| item["object_id"] == id
}

/// An item about the EHR as a whole.
fn of_system(item: &Value) -> bool {
    item["object_id"].is_null()
}

fn shown(time: Option<Duration>) -> String {
    let Some(time) = time else { return "never".to_owned() };
    match time.as_secs() {
        0..100 => format!("{:.1} s", time.as_secs_f64()),
        100..7200 => format!("{:.1} min", time.as_secs_f64() / 60.0),
        _ => format!("{:.2} h", time.as_secs_f64() / 3600.0),
    }
}

#[test]
fn bounds() {
    let rows: Vec<Row> = [systems::rows(), objects::rows(), outcomes::rows()].into_iter().flatten().collect();
    let mut late = Vec::new();
    println!("| trouble | until the item | at most | until /readyz | the item says |\n|---|---|---|---|---|");
    for Row { trouble, bound, seen, down } in &rows {
        let (when, says) = match &seen.item {
            Some((when, item)) => (Some(*when), format!("{} {}", item["kind"], item["code"]).replace('"', "")),
            None => (None, String::new()),
        };
        let ready = if down.is_some() { shown(seen.down) } else { String::new() };
        println!("| {trouble} | {} | {} | {ready} | {says} |", shown(when), shown(Some(*bound)));
        if when.is_none_or(|when| when > *bound) {
            late.push(format!("{trouble}: {} instead of {} at most", shown(when), shown(Some(*bound))));
        }
        if down.is_some_and(|bound| seen.down.is_none_or(|when| when > bound)) {
            late.push(format!("{trouble}: /readyz says so after {}", shown(seen.down)));
        }
    }
    assert!(late.is_empty(), "told late: {late:#?}");
}
