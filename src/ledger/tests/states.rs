//! Every state and every fact, written by hand from the field's rules: what must come out, and why. Not made from
//! `transition`, which is held against it.

use super::*;
use jiff::Timestamp;

const V1: u64 = 1;
const V2: u64 = 2;

fn at() -> Timestamp {
    "2026-11-28T10:00:00Z".parse().unwrap()
}

fn wait(ms: u64) -> Delay {
    Delay { from: at(), ms }
}

fn flight(version: u64) -> InFlight {
    InFlight { seq: 7, version, part: "main".into(), interaction: "create".into() }
}

fn blocker() -> SyncId {
    SyncId::given("the patient")
}

/// The states, each speaking of version 1, which is the one that is wanted.
fn state(name: &str) -> Standing {
    let state = match name {
        "ready" => State::NEW,
        "ready, delayed" => State::Ready { delay: Some(wait(500)) },
        "waiting" => State::Waiting { on: vec![blocker()], delay: wait(9000) },
        "sending" => State::Sending { flight: flight(V1) },
        "unknown" => State::Unknown { flight: flight(V1), delay: wait(500) },
        "synced" => State::Synced,
        "conflict" => State::Conflict { item: "w-1".into() },
        "parked" => State::Parked { item: "w-1".into(), flight: None },
        "parked, outcome open" => State::Parked { item: "w-1".into(), flight: Some(flight(V1)) },
        "resolved" => State::Resolved { flight: None },
        "resolved, outcome open" => State::Resolved { flight: Some(flight(V1)) },
        other => panic!("no such state: {other}"),
    };
    let attempts = if matches!(name, "ready" | "waiting") { 0 } else { 1 };
    Standing { wanted: V1, about: V1, attempts, state }
}

fn fact(name: &str) -> Told {
    let asked = |kind, conflict| Told::Asked { version: V1, item: "w-9".into(), kind, conflict };
    match name {
        "v2 aimed" => Told::Aimed { version: V2 },
        "v2 applied" => Told::Applied { version: V2 },
        "attempted" => Told::Attempted { attempt: 2, flight: flight(V1) },
        "acknowledged in part" => Told::Acknowledged { version: V1, done: false },
        "acknowledged" => Told::Acknowledged { version: V1, done: true },
        "deferred" => Told::Deferred { version: V1, delay: wait(800) },
        "unsettled" => Told::Unsettled { delay: wait(800) },
        "waited" => Told::Waited { version: V1, on: vec![blocker()], delay: wait(9000) },
        "woken" => Told::Woken,
        "spared" => Told::Spared,
        "parked" => asked(ItemKind::Rejected, false),
        "parked as unknown" => asked(ItemKind::Unknown, false),
        "conflicted" => asked(ItemKind::Conflict, true),
        "retried" => Told::Retried { item: "w-1".into() },
        "decided to send" => Told::Decided { item: "w-1".into(), own: true, send: true },
        "decided, nothing to send" => Told::Decided { item: "w-1".into(), own: true, send: false },
        "old item decided" => Told::Decided { item: "w-0".into(), own: false, send: true },
        other => panic!("no such fact: {other}"),
    }
}

/// What comes out, in a word or two; `v2` where the wanted version is then the second.
fn word(standing: &Standing) -> String {
    let state = match &standing.state {
        State::Ready { delay: None } => "ready",
        State::Ready { delay: Some(Delay { ms: 0, .. }) } => "ready now",
        State::Ready { .. } => "ready later",
        State::Waiting { .. } => "waiting",
        State::Sending { .. } => "sending",
        State::Unknown { delay: Delay { ms: 0, .. }, .. } => "unknown now",
        State::Unknown { .. } => "unknown later",
        State::Synced => "synced",
        State::Conflict { .. } => "conflict",
        State::Parked { flight: None, .. } => "parked",
        State::Parked { .. } => "parked, outcome open",
        State::Resolved { flight: None } => "resolved",
        State::Resolved { .. } => "resolved, outcome open",
    };
    if standing.wanted == V2 { format!("{state} v2") } else { state.to_owned() }
}

/// State, fact, outcome (`-`: impossible), reason.
#[rustfmt::skip]
const TABLE: &[(&str, &str, &str, &str)] = &[
    ("ready", "v2 aimed", "ready v2", "the correction goes instead"),
    ("ready", "v2 applied", "synced v2", "what came from there is there"),
    ("ready", "attempted", "sending", "the only way to send"),
    ("ready", "acknowledged in part", "ready", "a part was there already"),
    ("ready", "acknowledged", "synced", "all was there already"),
    ("ready", "deferred", "ready later", "reading before the write failed"),
    ("ready", "unsettled", "-", "nothing was sent, so nothing can have happened"),
    ("ready", "waited", "waiting", "what it refers to is not there"),
    ("ready", "woken", "ready", "it does not wait"),
    ("ready", "spared", "resolved", "called off before it left"),
    ("ready", "parked", "parked", "it cannot be prepared"),
    ("ready", "parked as unknown", "parked", "a person is asked, and no attempt is open"),
    ("ready", "conflicted", "conflict", "found when reading before the write"),
    ("ready", "retried", "ready", "it is to be sent already"),
    ("ready", "decided to send", "ready", "a newer version took the item's place"),
    ("ready", "decided, nothing to send", "resolved", "tried again, and a person wants no more of it"),
    ("ready", "old item decided", "ready", "another item's business"),

    ("ready, delayed", "v2 aimed", "ready v2", "what is newer has not failed"),
    ("ready, delayed", "v2 applied", "synced v2", "what came from there is there"),
    ("ready, delayed", "attempted", "sending", "the delay is over"),
    ("ready, delayed", "acknowledged in part", "ready", "a part was there already"),
    ("ready, delayed", "acknowledged", "synced", "all was there already"),
    ("ready, delayed", "deferred", "ready later", "failed once more"),
    ("ready, delayed", "unsettled", "-", "nothing was sent"),
    ("ready, delayed", "waited", "waiting", "what it refers to is gone meanwhile"),
    ("ready, delayed", "woken", "ready later", "it does not wait for others"),
    ("ready, delayed", "spared", "resolved", "called off before it left"),
    ("ready, delayed", "parked", "parked", "patience is over"),
    ("ready, delayed", "parked as unknown", "parked", "no attempt is open"),
    ("ready, delayed", "conflicted", "conflict", "found when reading before the write"),
    ("ready, delayed", "retried", "ready now", "a person wants it now"),
    ("ready, delayed", "decided to send", "ready later", "the item is no longer what it waits for"),
    ("ready, delayed", "decided, nothing to send", "resolved", "tried again, and a person wants no more of it"),
    ("ready, delayed", "old item decided", "ready later", "another item's business"),

    ("waiting", "v2 aimed", "ready v2", "the correction may refer to others"),
    ("waiting", "v2 applied", "synced v2", "what came from there is there"),
    ("waiting", "attempted", "-", "nothing is sent before what it refers to"),
    ("waiting", "acknowledged in part", "-", "nothing was sent"),
    ("waiting", "acknowledged", "-", "nothing was sent"),
    ("waiting", "deferred", "-", "nothing was tried"),
    ("waiting", "unsettled", "-", "nothing was sent"),
    ("waiting", "waited", "waiting", "it waits for others too"),
    ("waiting", "woken", "ready", "what it refers to is there, or will never be"),
    ("waiting", "spared", "resolved", "called off before it left"),
    ("waiting", "parked", "parked", "patience is over"),
    ("waiting", "parked as unknown", "parked", "no attempt is open"),
    ("waiting", "conflicted", "conflict", "seen by a fetch"),
    ("waiting", "retried", "waiting", "pressing does not bring what it refers to"),
    ("waiting", "decided to send", "waiting", "the item was about an older version"),
    ("waiting", "decided, nothing to send", "resolved", "tried again, and a person wants no more of it"),
    ("waiting", "old item decided", "waiting", "another item's business"),

    ("sending", "v2 aimed", "sending v2", "what is under way settles first"),
    ("sending", "v2 applied", "-", "what the system shows may be our own write"),
    ("sending", "attempted", "-", "one attempt at a time"),
    ("sending", "acknowledged in part", "ready", "further parts follow"),
    ("sending", "acknowledged", "synced", "it has it"),
    ("sending", "deferred", "ready later", "known not done"),
    ("sending", "unsettled", "unknown later", "the reply was lost"),
    ("sending", "waited", "-", "it was sent, so it waited for nobody"),
    ("sending", "woken", "sending", "it does not wait"),
    ("sending", "spared", "-", "it is leaving"),
    ("sending", "parked", "parked", "refused for good"),
    ("sending", "parked as unknown", "parked, outcome open", "the attempt stays named, so that a retry reads back first"),
    ("sending", "conflicted", "conflict", "an edit was in between"),
    ("sending", "retried", "sending", "a retry while sending changes nothing"),
    ("sending", "decided to send", "sending", "it is being sent"),
    ("sending", "decided, nothing to send", "sending", "the outcome of what is under way counts"),
    ("sending", "old item decided", "sending", "another item's business"),

    ("unknown", "v2 aimed", "unknown later v2", "read back before anything else is sent"),
    ("unknown", "v2 applied", "-", "what the system shows may be our own write"),
    ("unknown", "attempted", "-", "never sent again unread"),
    ("unknown", "acknowledged in part", "ready", "read back: it is there"),
    ("unknown", "acknowledged", "synced", "read back: all is there"),
    ("unknown", "deferred", "ready later", "proven not to be there"),
    ("unknown", "unsettled", "unknown later", "not found yet"),
    ("unknown", "waited", "-", "it was sent, so it waited for nobody"),
    ("unknown", "woken", "unknown later", "it does not wait for others"),
    ("unknown", "spared", "-", "it may have left"),
    ("unknown", "parked", "parked", "reading back shows that it was refused"),
    ("unknown", "parked as unknown", "parked, outcome open", "nobody can find out"),
    ("unknown", "conflicted", "conflict", "reading back shows an edit"),
    ("unknown", "retried", "unknown now", "a person wants it looked at now"),
    ("unknown", "decided to send", "unknown later", "never sent again unread"),
    ("unknown", "decided, nothing to send", "resolved, outcome open", "a person wants no more of it; what is there stays unknown"),
    ("unknown", "old item decided", "unknown later", "another item's business"),

    ("synced", "v2 aimed", "ready v2", "a further version"),
    ("synced", "v2 applied", "synced v2", "what came from there is there"),
    ("synced", "attempted", "-", "there is nothing to send"),
    ("synced", "acknowledged in part", "-", "there was nothing under way"),
    ("synced", "acknowledged", "-", "there was nothing under way"),
    ("synced", "deferred", "-", "there was nothing to try"),
    ("synced", "unsettled", "-", "there was nothing under way"),
    ("synced", "waited", "-", "there is nothing to send"),
    ("synced", "woken", "synced", "it does not wait"),
    ("synced", "spared", "-", "it is there"),
    ("synced", "parked", "parked", "somebody's edit was written over"),
    ("synced", "parked as unknown", "parked", "no attempt is open"),
    ("synced", "conflicted", "conflict", "seen by a fetch"),
    ("synced", "retried", "synced", "it is there"),
    ("synced", "decided to send", "synced", "it was answered by the system itself"),
    ("synced", "decided, nothing to send", "synced", "it is there"),
    ("synced", "old item decided", "synced", "another item's business"),

    ("conflict", "v2 aimed", "ready v2", "the correction is merged by itself"),
    ("conflict", "v2 applied", "synced v2", "they came to agree"),
    ("conflict", "attempted", "-", "nothing is sent without a person"),
    ("conflict", "acknowledged in part", "-", "nothing was under way"),
    ("conflict", "acknowledged", "-", "nothing was under way"),
    ("conflict", "deferred", "-", "nothing was tried"),
    ("conflict", "unsettled", "-", "nothing was under way"),
    ("conflict", "waited", "-", "a person is asked already"),
    ("conflict", "woken", "conflict", "it does not wait for others"),
    ("conflict", "spared", "-", "it is there"),
    ("conflict", "parked", "parked", "a worse reason"),
    ("conflict", "parked as unknown", "parked", "no attempt is open"),
    ("conflict", "conflicted", "conflict", "they changed it once more"),
    ("conflict", "retried", "ready", "a person wants it merged again"),
    ("conflict", "decided to send", "ready", "decided"),
    ("conflict", "decided, nothing to send", "resolved", "decided"),
    ("conflict", "old item decided", "conflict", "another item's business"),

    ("parked", "v2 aimed", "ready v2", "the fix is judged by itself"),
    ("parked", "v2 applied", "synced v2", "what came from there is there"),
    ("parked", "attempted", "-", "nothing is sent without a person"),
    ("parked", "acknowledged in part", "-", "nothing was under way"),
    ("parked", "acknowledged", "-", "nothing was under way"),
    ("parked", "deferred", "-", "nothing was tried"),
    ("parked", "unsettled", "-", "nothing was under way"),
    ("parked", "waited", "-", "a person is asked already"),
    ("parked", "woken", "parked", "it does not wait for others"),
    ("parked", "spared", "-", "a person is asked already"),
    ("parked", "parked", "parked", "another reason"),
    ("parked", "parked as unknown", "parked", "no attempt is open"),
    ("parked", "conflicted", "conflict", "seen by a fetch"),
    ("parked", "retried", "ready", "a person wants it tried again"),
    ("parked", "decided to send", "ready", "decided"),
    ("parked", "decided, nothing to send", "resolved", "decided"),
    ("parked", "old item decided", "parked", "another item's business"),

    ("parked, outcome open", "v2 aimed", "unknown now v2", "a correction does not tell what the first attempt did"),
    ("parked, outcome open", "v2 applied", "synced v2", "it is there: the fetch shows it"),
    ("parked, outcome open", "attempted", "-", "never sent again unread"),
    ("parked, outcome open", "acknowledged in part", "-", "reading back begins with a person"),
    ("parked, outcome open", "acknowledged", "-", "reading back begins with a person"),
    ("parked, outcome open", "deferred", "-", "nothing was tried"),
    ("parked, outcome open", "unsettled", "-", "a person is asked already"),
    ("parked, outcome open", "waited", "-", "a person is asked already"),
    ("parked, outcome open", "woken", "parked, outcome open", "it does not wait for others"),
    ("parked, outcome open", "spared", "-", "it may have left"),
    ("parked, outcome open", "parked", "parked", "now it is known"),
    ("parked, outcome open", "parked as unknown", "parked, outcome open", "still not known"),
    ("parked, outcome open", "conflicted", "conflict", "it is there, and was changed"),
    ("parked, outcome open", "retried", "unknown now", "read back first, however often it is pressed"),
    ("parked, outcome open", "decided to send", "unknown now", "read back first"),
    ("parked, outcome open", "decided, nothing to send", "resolved, outcome open", "decided, and what is there stays unknown"),
    ("parked, outcome open", "old item decided", "parked, outcome open", "another item's business"),

    ("resolved", "v2 aimed", "ready v2", "a further version"),
    ("resolved", "v2 applied", "synced v2", "what came from there is there"),
    ("resolved", "attempted", "-", "a person decided against it"),
    ("resolved", "acknowledged in part", "-", "nothing was under way"),
    ("resolved", "acknowledged", "-", "nothing was under way"),
    ("resolved", "deferred", "-", "nothing was tried"),
    ("resolved", "unsettled", "-", "nothing was under way"),
    ("resolved", "waited", "-", "there is nothing to send"),
    ("resolved", "woken", "resolved", "it does not wait"),
    ("resolved", "spared", "-", "it is decided already"),
    ("resolved", "parked", "parked", "something new came up"),
    ("resolved", "parked as unknown", "parked", "no attempt is open"),
    ("resolved", "conflicted", "conflict", "seen by a fetch"),
    ("resolved", "retried", "resolved", "its item is closed"),
    ("resolved", "decided to send", "resolved", "its item is closed"),
    ("resolved", "decided, nothing to send", "resolved", "decided"),
    ("resolved", "old item decided", "resolved", "another item's business"),
    ("resolved, outcome open", "v2 aimed", "unknown now v2", "what the first attempt did is found out before v2 is sent"),
    ("resolved, outcome open", "v2 applied", "synced v2", "what came from there is there"),
    ("resolved, outcome open", "attempted", "-", "a person decided against it"),
    ("resolved, outcome open", "acknowledged in part", "-", "nobody looks for it"),
    ("resolved, outcome open", "acknowledged", "-", "nobody looks for it"),
    ("resolved, outcome open", "deferred", "-", "nothing was tried"),
    ("resolved, outcome open", "unsettled", "-", "nobody looks for it"),
    ("resolved, outcome open", "waited", "-", "there is nothing to send"),
    ("resolved, outcome open", "woken", "resolved, outcome open", "it does not wait"),
    ("resolved, outcome open", "spared", "-", "it is decided already"),
    ("resolved, outcome open", "parked", "parked", "something new came up"),
    ("resolved, outcome open", "parked as unknown", "parked, outcome open", "still not known"),
    ("resolved, outcome open", "conflicted", "conflict", "seen by a fetch"),
    ("resolved, outcome open", "retried", "resolved, outcome open", "its item is closed"),
    ("resolved, outcome open", "decided to send", "resolved, outcome open", "its item is closed"),
    ("resolved, outcome open", "decided, nothing to send", "resolved, outcome open", "decided"),
    ("resolved, outcome open", "old item decided", "resolved, outcome open", "another item's business"),
];

#[test]
fn every_state_and_every_fact_come_to_what_the_fields_rules_say() {
    let mut wrong = Vec::new();
    for (from, told, expected, why) in TABLE {
        let made = transition(&state(from), &fact(told), at()).map_or("-".to_owned(), |after| word(&after));
        if made != *expected {
            wrong.push(format!("{from} + {told}: {made}, not {expected} ({why})"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Each pair once.
    let states: std::collections::BTreeSet<_> = TABLE.iter().map(|row| row.0).collect();
    let facts: std::collections::BTreeSet<_> = TABLE.iter().map(|row| row.1).collect();
    let pairs: std::collections::BTreeSet<_> = TABLE.iter().map(|row| (row.0, row.1)).collect();
    assert_eq!((states.len(), facts.len()), (11, 17));
    assert_eq!((pairs.len(), TABLE.len()), (187, 187));
}

/// What names an older version than the one that is wanted never decides about the newer one.
#[test]
fn what_is_newer_is_judged_by_itself() {
    let newer = |name: &str| Standing { wanted: V2, ..state(name) };
    let rows: [(&str, &str, &str, &str); 12] = [
        ("sending", "parked", "ready v2", "the rejection of v1 is no verdict on its fix"),
        ("sending", "conflicted", "ready v2", "v2 is merged by itself"),
        (
            "sending",
            "parked as unknown",
            "parked, outcome open v2",
            "nobody knows whether v1 is there: v2 would double it",
        ),
        ("sending", "deferred", "ready v2", "v2 has not failed"),
        ("sending", "acknowledged", "ready v2", "v1 is there, v2 follows"),
        ("sending", "acknowledged in part", "ready v2", "the parts of v2 follow"),
        ("sending", "unsettled", "unknown later v2", "read back before v2 is sent"),
        ("unknown", "parked", "ready v2", "v1 is known to be refused"),
        ("unknown", "deferred", "ready v2", "v1 is known not to be there"),
        ("unknown", "acknowledged", "ready v2", "v1 is there, v2 follows"),
        ("unknown", "parked as unknown", "parked, outcome open v2", "v2 would double it"),
        ("unknown", "retried", "unknown now v2", "read back first"),
    ];
    for (from, told, expected, why) in rows {
        let made = transition(&newer(from), &fact(told), at()).map_or("-".to_owned(), |after| word(&after));
        assert_eq!(made, expected, "{from} + {told}: {why}");
    }
    // A verdict on v1 that comes when v2 is ready cannot be: v1 is not under way.
    let ready = Standing::new(V2);
    for told in ["attempted", "acknowledged", "deferred", "waited", "parked", "conflicted"] {
        assert!(transition(&ready, &fact(told), at()).is_err(), "{told}");
    }
    // An older version never comes back.
    assert!(transition(&ready, &Told::Aimed { version: V1 }, at()).is_err());
    assert!(transition(&ready, &Told::Applied { version: V1 }, at()).is_err());
}
