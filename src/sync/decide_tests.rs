//! What a turn does next, as a table: scene, what was heard, the step, and why.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::sync::rejoin::{Between, ROUNDS};
use crate::{
    domain::{ObjectId, ObjectName, SystemName},
    ehr::{Capability, Kind, Statement},
    fhir::resource_type,
    ledger::{Delay, InFlight, SyncRow},
    mapping::{Context, Mappings},
    sync::{
        merge::{Merged, Occasion, Outcome},
        prepare::Subject,
        step::{Look, Sight},
    },
};

fn now() -> jiff::Timestamp {
    "2026-11-28T10:00:00Z".parse().unwrap()
}

fn row(standing: State) -> SyncRow {
    let (object, id) = (ObjectName::new("patient").unwrap(), ObjectId::new("p1").unwrap());
    let system = SystemName::new("ehr").unwrap();
    SyncRow {
        id: SyncId::of(&object, &id, &system),
        object,
        object_id: id,
        system,
        version: 1,
        about: 1,
        synced_version: None,
        standing,
        remote: Vec::new(),
        remote_version: None,
        attempts: 0,
        code: None,
        message: None,
        worklist_id: None,
        blocked_by: None,
        last_item: None,
        mapping: None,
        output: None,
        gone: false,
        former: None,
        waits_for: Vec::new(),
        left_out: false,
        since: 1,
        seq: 1,
        updated_at: now(),
    }
}

fn flight(interaction: &str) -> State {
    let flight = InFlight { seq: 2, version: 1, part: MAIN.to_owned(), interaction: interaction.to_owned() };
    State::Unknown { flight, delay: Delay { from: now(), ms: 0 } }
}

fn resource() -> Value {
    let ours = json!([{"system": "urn:liaison:north:patient", "value": "p1"}]);
    json!({"resourceType": "Patient", "identifier": ours, "gender": "female"})
}

fn outgoing(held: Option<Held>) -> Outgoing {
    let resource = resource();
    let kind = resource_type(&resource).unwrap().to_owned();
    Outgoing { part: MAIN.to_owned(), kind, resource, held, carries: false }
}

fn held(version: &str, body: Value) -> Held {
    Held::found(MAIN, "Patient/7".to_owned(), Some(version.to_owned()), Some(body))
}

fn seen(version: &str, created: bool) -> Seen {
    let mut body = resource();
    body["id"] = json!("7");
    let (kind, id) = ("Patient".to_owned(), "7".to_owned());
    Seen { kind, id, version: Some(version.to_owned()), body: Some(body), created }
}

/// A patient who is to be sent for the first time to an EHR that offers everything.
fn scene() -> Scene {
    let context = Context::new("north");
    let plan = Mappings::embedded().unwrap().plan("patient", "generic").unwrap();
    Scene {
        instance: "north".to_owned(),
        row: row(State::NEW),
        subject: Subject {
            object: ObjectName::new("patient").unwrap(),
            id: ObjectId::new("p1").unwrap(),
            plan,
            version: 1,
            ours: json!({"id": "p1"}),
            context,
        },
        cancelled: false,
        held: Vec::new(),
        before: Vec::new(),
        read: Vec::new(),
        prepared: Ok(Prepared::Ready(vec![outgoing(None)])),
        not_permitted: Vec::new(),
        given_up: BTreeSet::new(),
        blockers_owner: None,
        blockers_are_asked: false,
        capability: Arc::new(Capability { statement: Statement::Absent, ..Capability::default() }),
        before_the_start: false,
        was_gone: false,
        is_perhaps_restored: false,
        is_behind: false,
        doubt: crate::sync::evidence::Doubt::default(),
        asked_to_retry: false,
        waited: Duration::from_secs(10),
        open_for: Duration::from_secs(10),
        sought_for: Duration::from_secs(10),
        patience: Duration::from_secs(86_400),
        settle_within: Duration::from_secs(30),
        chance: 0.5,
        reading: Reading::NotYet,
        looked_for: false,
        sent: None,
        answered: None,
        answer: None,
        shown: false,
        landed: false,
        sent_then: None,
        rejoin: crate::sync::rejoin::Rejoin::default(),
        between: crate::sync::rejoin::Between::Unknown,
        newer: None,
    }
}

/// The same, once it was sent.
fn sent(way: Way) -> Scene {
    let mut scene = scene();
    let part = outgoing(None);
    let output = Hash::of(b"x");
    scene.sent = Some(Box::new(Sent { part, way, last: true, output }));
    scene.row.attempts = 1;
    scene.answered = Some(seen("1", true));
    scene
}

fn unknown(interaction: &str) -> Scene {
    let mut scene = scene();
    scene.row = row(flight(interaction));
    scene.row.attempts = 1;
    scene
}

fn word(step: Step) -> String {
    match step {
        Step::Ask(ask) => match ask {
            Ask::Part { .. } => "read".to_owned(),
            Ask::Find { .. } => "look for it first".to_owned(),
            Ask::Again { .. } => "read again".to_owned(),
            Ask::Before { version, .. } => format!("read what was before {version}"),
            Ask::Version { version, .. } => format!("read version {version}"),
            Ask::Rejoin { .. } => "put back".to_owned(),
            Ask::Look(Look::At { .. }) => "look by id".to_owned(),
            Ask::Look(Look::By { .. }) => "look by identifier".to_owned(),
            Ask::Look(Look::Nohow) => "look nohow".to_owned(),
        },
        Step::Send(sent) => sent.way.interaction().to_owned(),
        Step::Restore { .. } => "put back".to_owned(),
        Step::Record(note) => match note {
            Note::Has(has) if has.done => "has it".to_owned(),
            Note::Has(Has { as_sent: Some(0), .. }) => "has a part, to be compared".to_owned(),
            Note::Has(Has { as_sent: Some(_), .. }) => "has a part, looked at again later".to_owned(),
            Note::Has(_) => "has a part".to_owned(),
            Note::Later { wait_ms: 0, .. } => "at once again".to_owned(),
            Note::Later { .. } => "later".to_owned(),
            Note::Open { .. } => "open".to_owned(),
            Note::Waits(_) => "waits".to_owned(),
            Note::Asks(trouble) => format!("asks {}", trouble.code),
            Note::Conflict { .. } => "conflict".to_owned(),
            Note::Takes { back, .. } => format!("takes theirs{}", if back { ", sends ours" } else { "" }),
            Note::Gone(_) => "gone".to_owned(),
            Note::Told(trouble, then) => format!("tells {}, {}", trouble.code, word(Step::Record(*then))),
            Note::Spared => "spared".to_owned(),
        },
    }
}

fn failure(kind: Kind, status: u16) -> Failure {
    Failure { status: Some(status), ..Failure::new(kind, "It failed.") }
}

fn merged(takes_theirs: bool, conflicts: bool) -> Reading {
    let field = crate::sync::merge::Field {
        path: "/status".to_owned(),
        base: None,
        ours: Some(json!(1)),
        theirs: Some(json!(2)),
        owner: crate::mapping::Owner::Review,
    };
    let conflicts = if conflicts { vec![field] } else { Vec::new() };
    let value = json!({"id": "p1"});
    let merged = Merged { value, takes_theirs, keeps_ours: true, conflicts, ..Merged::default() };
    let outcome = Box::new(Outcome { merged, ..Outcome::default() });
    let seen = vec![(MAIN.to_owned(), seen("2", false))];
    Reading::Compared { outcome, occasion: Occasion::Fetched, seen }
}

fn with(mut scene: Scene, how: impl FnOnce(&mut Scene)) -> Scene {
    how(&mut scene);
    scene
}

fn check(rows: Vec<(Scene, Heard, &str, &str)>) {
    for (scene, heard, expected, why) in rows {
        assert_eq!(word(decide(&scene, heard)), expected, "{why}");
    }
}

#[test]
fn what_is_to_be_sent() {
    let blocker = || SyncId::given("the organisation");
    let there = || held("3", json!({"resourceType": "Patient", "id": "7", "gender": "male"}));
    let change = |scene: &mut Scene| {
        scene.held = vec![there()];
        scene.before = scene.held.clone();
        scene.prepared = Ok(Prepared::Ready(vec![outgoing(Some(there()))]));
    };
    let waiting = |scene: &mut Scene| scene.prepared = Ok(Prepared::Waiting(vec![blocker()]));
    check(vec![
        (scene(), Heard::Turn, "create", "nothing is there, nothing stands in the way"),
        (with(scene(), |s| s.cancelled = true), Heard::Turn, "spared", "called off before it left: nothing is sent"),
        (with(scene(), |s| s.before_the_start = true), Heard::Turn, "create", "the EHR looks by itself"),
        (
            with(scene(), |s| s.is_behind = true),
            Heard::Turn,
            "look for it first",
            "an EHR has what the ledger does not know",
        ),
        (
            with(scene(), |s| (s.before_the_start, s.is_perhaps_restored) = (true, true)),
            Heard::Turn,
            "look for it first",
            "the ledger may be a restored backup",
        ),
        (
            with(scene(), |s| (s.before_the_start, s.is_perhaps_restored) = (true, true)),
            Heard::Found(Ok(vec![])),
            "look for it first",
            "only what was looked for is sent",
        ),
        (
            with(scene(), |s| (s.before_the_start, s.is_perhaps_restored, s.looked_for) = (true, true, true)),
            Heard::Found(Ok(vec![])),
            "create",
            "it is not there",
        ),
        (
            scene(),
            Heard::Found(Ok(vec![seen("1", false)])),
            "has a part",
            "it is there already: linked, and compared next",
        ),
        (scene(), Heard::Found(Ok(vec![seen("1", false), seen("1", false)])), "asks LIA-EHR-007", "which one counts?"),
        (with(scene(), change), Heard::Turn, "read", "what is there is read before it is changed"),
        (
            with(scene(), |s| {
                change(s);
                s.reading = Reading::Unchanged;
                s.read = vec![(MAIN.to_owned(), seen("3", false))];
            }),
            Heard::Read(MAIN.to_owned(), Ok(seen("3", false))),
            "update",
            "nobody changed it",
        ),
        (
            with(scene(), |s| {
                change(s);
                s.reading = merged(false, true);
                s.read = vec![(MAIN.to_owned(), seen("3", false))];
            }),
            Heard::Read(MAIN.to_owned(), Ok(seen("3", false))),
            "conflict",
            "a person decides",
        ),
        (
            with(scene(), |s| {
                change(s);
                s.reading = merged(true, false);
                s.read = vec![(MAIN.to_owned(), seen("3", false))];
            }),
            Heard::Read(MAIN.to_owned(), Ok(seen("3", false))),
            "takes theirs, sends ours",
            "merged here first",
        ),
        (
            with(scene(), change),
            Heard::Read(MAIN.to_owned(), Err(failure(Kind::Busy, 423))),
            "later",
            "a locked record is tried later",
        ),
        (
            with(scene(), change),
            Heard::Read(MAIN.to_owned(), Err(failure(Kind::Forbidden, 403))),
            "asks LIA-EHR-009",
            "only a person helps",
        ),
        (
            with(scene(), |s| {
                change(s);
                s.waited = s.patience * 2;
            }),
            Heard::Read(MAIN.to_owned(), Err(failure(Kind::Busy, 423))),
            "asks LIA-SYNC-017",
            "patience ends with a person",
        ),
        (with(scene(), waiting), Heard::Turn, "waits", "what it refers to comes first"),
        (
            with(scene(), |s| {
                waiting(s);
                s.given_up.insert(blocker());
            }),
            Heard::Turn,
            "asks LIA-SYNC-023",
            "what it refers to will never be there",
        ),
        (
            with(scene(), |s| {
                waiting(s);
                s.waited = s.patience * 2;
            }),
            Heard::Turn,
            "asks LIA-SYNC-018",
            "nobody was asked about what it waits for",
        ),
        (
            with(scene(), |s| {
                waiting(s);
                s.waited = s.patience * 2;
                s.blockers_are_asked = true;
            }),
            Heard::Turn,
            "waits",
            "a person knows already",
        ),
    ]);
}

#[test]
fn what_a_write_came_to() {
    let create = || Way::Create { condition: Some("identifier=x".to_owned()) };
    let update = || Way::Update { id: "7".to_owned(), version: Some("3".to_owned()) };
    let other = || Seen { body: Some(json!({"resourceType": "Patient", "id": "9"})), ..seen("1", true) };
    let edited = |version: &str| {
        let mut edited = seen(version, false);
        edited.body.as_mut().unwrap()["gender"] = json!("male");
        edited
    };
    let edit = || Between::Edit(Box::new(resource()));
    let put_back = |scene: &mut Scene| {
        scene.answered = Some(seen("6", false));
        (scene.rejoin.rounds, scene.rejoin.version) = (1, Some("5".to_owned()));
    };
    let heeds = |scene: &mut Scene| {
        let offer = crate::ehr::Offer { versioned_update: true, ..crate::ehr::Offer::default() };
        let types = [("Patient".to_owned(), offer)].into();
        scene.capability = Arc::new(Capability { types, statement: Statement::Stated, ..Capability::default() });
    };
    let unchanged = |scene: &mut Scene| (scene.reading, scene.row.attempts) = (Reading::Unchanged, 3);
    check(vec![
        (sent(create()), Heard::Written(Ok(seen("1", true))), "has it", "created"),
        (
            sent(create()),
            Heard::Written(Ok(seen("1", false))),
            "has a part",
            "a conditional create that found one wrote nothing",
        ),
        (sent(create()), Heard::Written(Ok(other())), "read again", "the answer shows something else"),
        (sent(create()), Heard::Confirmed(Ok(seen("1", false))), "has it", "it is there after all"),
        (sent(create()), Heard::Confirmed(Ok(other())), "open", "an answer that shows another record is no answer"),
        (sent(create()), Heard::Written(Err(failure(Kind::Lost, 500))), "open", "it may have happened"),
        (sent(create()), Heard::Written(Err(failure(Kind::Busy, 429))), "later", "known not done"),
        (sent(create()), Heard::Written(Err(failure(Kind::Refused, 422))), "asks LIA-EHR-004", "refused for good"),
        (sent(create()), Heard::Written(Err(failure(Kind::Exists, 409))), "open", "looked for before anybody is asked"),
        (
            with(sent(create()), |s| s.row.attempts = 2),
            Heard::Written(Err(failure(Kind::Exists, 409))),
            "asks LIA-EHR-019",
            "it was looked for: somebody else's record",
        ),
        (
            with(sent(update()), |s| s.answered = Some(seen("4", false))),
            Heard::Written(Ok(seen("4", false))),
            "has it",
            "the next version",
        ),
        (
            with(sent(update()), |s| s.answered = Some(Seen { body: None, ..seen("5", false) })),
            Heard::Confirmed(Ok(seen("6", false))),
            "read version 4",
            "an edit was in between, whatever came afterwards",
        ),
        (
            with(sent(update()), |s| s.answered = Some(seen("e5", false))),
            Heard::Written(Ok(seen("e5", false))),
            "read what was before e5",
            "versions that cannot be counted, of an EHR that does not say that it heeds them",
        ),
        (with(sent(update()), heeds), Heard::Written(Ok(seen("e5", false))), "has it", "it says that it heeds them"),
        (
            with(sent(update()), |s| s.answered = Some(seen("e5", false))),
            Heard::Before(Ok(None)),
            "has it",
            "its history does not tell",
        ),
        (
            with(sent(update()), |s| (s.answered, s.between) = (Some(seen("e5", false)), edit())),
            Heard::Before(Ok(Some(edited("e4")))),
            "put back",
            "an edit was in between",
        ),
        (
            with(sent(update()), |s| s.answered = Some(seen("5", false))),
            Heard::Written(Ok(seen("5", false))),
            "read version 4",
            "an edit was in between",
        ),
        (
            with(sent(update()), |s| (s.answered, s.between) = (Some(seen("5", false)), Between::Nothing)),
            Heard::Between(Ok(edited("4"))),
            "has it",
            "it says what was read",
        ),
        (
            with(sent(update()), |s| (s.answered, s.between) = (Some(seen("5", false)), edit())),
            Heard::Between(Ok(edited("4"))),
            "put back",
            "what was in between is not lost",
        ),
        (
            sent(update()),
            Heard::Between(Err(failure(Kind::Gone, 404))),
            "tells LIA-SYNC-034, has it",
            "without history a person looks",
        ),
        (
            with(sent(update()), put_back),
            Heard::Rejoined(Ok(seen("6", false))),
            "at once again",
            "read and merged like any edit",
        ),
        (
            with(sent(update()), put_back),
            Heard::Rejoined(Ok(seen("7", false))),
            "read version 6",
            "somebody was in between once more",
        ),
        (
            with(sent(update()), |s| {
                put_back(s);
                (s.rejoin.rounds, s.between) = (ROUNDS + 1, edit());
            }),
            Heard::Between(Ok(edited("6"))),
            "tells LIA-SYNC-034, at once again",
            "too often",
        ),
        (
            with(sent(update()), put_back),
            Heard::Rejoined(Err(failure(Kind::Lost, 500))),
            "tells LIA-SYNC-034, at once again",
            "a person looks",
        ),
        (
            sent(update()),
            Heard::Written(Err(failure(Kind::Changed, 412))),
            "at once again",
            "somebody was quicker: read and merge",
        ),
        (
            with(sent(update()), unchanged),
            Heard::Written(Err(failure(Kind::Changed, 412))),
            "asks LIA-SYNC-024",
            "it refuses the version that it gave, and nobody changed anything",
        ),
    ]);
}

#[test]
fn what_reading_back_came_to() {
    let nothing = || Heard::Looked(Ok(Sight::Nothing { witness: None }));
    let create = || unknown("create");
    let long =
        |scene: &mut Scene| (scene.open_for, scene.sought_for) = (Duration::from_secs(60), Duration::from_secs(60));
    check(vec![
        (create(), Heard::Turn, "look by identifier", "never sent again unread"),
        (
            with(unknown("update"), |s| s.held = vec![held("3", resource())]),
            Heard::Turn,
            "look by id",
            "its id is known",
        ),
        (
            create(),
            Heard::Looked(Ok(Sight::Found(Box::new(seen("1", false))))),
            "has a part",
            "it is there: compared next",
        ),
        (create(), Heard::Looked(Ok(Sight::Several)), "asks LIA-EHR-007", "which one counts?"),
        (create(), Heard::Looked(Ok(Sight::Nameless)), "asks LIA-SYNC-013", "nothing to look for it by"),
        (create(), nothing(), "open", "not shown is not absent"),
        (with(create(), |s| s.doubt.proofs = 2), nothing(), "at once again", "a younger one was shown, twice"),
        (
            with(create(), |s| (s.doubt.status, s.doubt.misses) = (Some(503), 2)),
            nothing(),
            "at once again",
            "a plain 503, and two looks agree",
        ),
        (
            with(create(), |s| (s.doubt.lag, s.doubt.misses) = (Some(Duration::from_secs(1)), 4)),
            nothing(),
            "at once again",
            "its search was measured to be prompt since",
        ),
        (
            with(create(), |s| (s.doubt.lag, s.doubt.misses) = (Some(Duration::from_secs(20)), 4)),
            nothing(),
            "open",
            "its search is further behind than that",
        ),
        (
            with(create(), |s| (s.doubt.lag, s.doubt.misses) = (Some(Duration::from_secs(1)), 1)),
            nothing(),
            "open",
            "looked for once only",
        ),
        (
            with(create(), |s| {
                long(s);
                (s.sought_for, s.doubt.lag, s.doubt.misses) =
                    (Duration::from_secs(301), Some(Duration::from_secs(3600)), 5);
            }),
            nothing(),
            "asks LIA-SYNC-013",
            "its search may be an hour behind: a person rather than an hour",
        ),
        (
            with(create(), |s| {
                (s.doubt.lag, s.doubt.misses) = (Some(Duration::from_secs(1)), 4);
                (s.open_for, s.sought_for) = (Duration::from_secs(3600), Duration::from_secs(1));
            }),
            nothing(),
            "open",
            "the wall clock was set forward: no proof hangs on it",
        ),
        (
            with(create(), |s| {
                long(s);
                s.doubt.misses = 5;
            }),
            nothing(),
            "asks LIA-SYNC-013",
            "no proof: a person",
        ),
        (
            with(create(), |s| {
                // After a restart: the attempt is old, its search behind by at most half a minute, and looking has only begun.
                (s.open_for, s.sought_for) = (Duration::from_secs(600), Duration::from_secs(20));
                (s.doubt.misses, s.doubt.lag) = (7, Some(Duration::from_secs(30)));
            }),
            nothing(),
            "open",
            "the proof is near: no person is asked before",
        ),
        (
            with(create(), |s| {
                s.asked_to_retry = true;
                s.doubt.misses = 2;
            }),
            nothing(),
            "at once again",
            "a person looked and said so",
        ),
        (unknown("update"), nothing(), "at once again", "the next turn reads it, and finds out if it was deleted"),
        (with(unknown("update"), |s| s.open_for = Duration::ZERO), nothing(), "open", "it may still be at work"),
        (
            unknown("update"),
            Heard::Looked(Ok(Sight::Found(Box::new(seen("4", false))))),
            "at once again",
            "the change is not shown: read, merged, sent",
        ),
        (
            with(unknown("update"), |s| s.landed = true),
            Heard::Looked(Ok(Sight::Found(Box::new(seen("4", false))))),
            "has a part",
            "it arrived and was edited since: merged against what was sent",
        ),
        (
            with(unknown("update"), |s| s.shown = true),
            Heard::Looked(Ok(Sight::Found(Box::new(seen("4", false))))),
            "has a part",
            "the change is there",
        ),
        (create(), Heard::Looked(Err(failure(Kind::Lost, 500))), "open", "tried again, ever more rarely"),
        (
            with(create(), long),
            Heard::Looked(Err(failure(Kind::Forbidden, 403))),
            "asks LIA-SYNC-013",
            "what only a person can mend asks a person",
        ),
        (
            with(create(), long),
            Heard::Looked(Err(failure(Kind::Unauthorised, 401))),
            "open",
            "the system's trouble, which is asked about as such",
        ),
        (
            with(create(), |s| s.waited = s.patience * 2),
            Heard::Looked(Err(failure(Kind::Lost, 500))),
            "asks LIA-SYNC-013",
            "patience ends with a person",
        ),
    ]);
}

/// An outcome that cannot be read back costs a few entries an hour, however long that lasts.
#[test]
fn reading_back_grows_rare() {
    let (mut open_for, mut entries) = (Duration::from_secs(1), 0);
    while open_for < Duration::from_secs(86_400) {
        let scene = with(unknown("create"), |scene| {
            scene.open_for = open_for;
            scene.doubt.failures = entries;
        });
        let Step::Record(Note::Open { wait_ms, .. }) = decide(&scene, Heard::Looked(Err(failure(Kind::Lost, 500))))
        else {
            panic!("open")
        };
        open_for += Duration::from_millis(wait_ms);
        entries += 1;
    }
    assert!(entries < 24 * 7, "{entries} entries a day");
}

/// However long the EHR's search is known to be behind, reading back is no polling.
#[test]
fn a_known_lag_is_waited_out() {
    let (mut passed, mut entries) = (Duration::ZERO, 0);
    let asked = loop {
        let scene = with(unknown("create"), |scene| {
            (scene.open_for, scene.sought_for, scene.waited) = (passed, passed, passed);
            (scene.doubt.misses, scene.doubt.lag) = (entries + 1, Some(Duration::from_secs(200)));
        });
        entries += 1;
        match decide(&scene, Heard::Looked(Ok(Sight::Nothing { witness: None }))) {
            Step::Record(Note::Open { wait_ms, .. }) => passed += Duration::from_millis(wait_ms),
            other => break word(other),
        }
    };
    assert_eq!(asked, "at once again", "it is proven in the end");
    assert!(entries <= 6 && passed > Duration::from_secs(200), "{entries} entries in {passed:?}");
}

/// What was merely found is no base: staff may have changed it since it was made, and would be written over.
#[test]
fn the_base_is_what_was_sent() {
    let base = |step: Step| {
        let Step::Record(Note::Has(Has { done: false, mut parts, .. })) = step else { panic!("has a part: {step:?}") };
        (parts[0].1.body.take(), parts[0].1.version.take())
    };
    let found = |scene: &Scene| base(decide(scene, Heard::Looked(Ok(Sight::Found(Box::new(seen("2", false)))))));
    let changed = with(unknown("create"), |scene| scene.sent_then = Some(resource()));
    assert_eq!(found(&changed), (Some(resource()), None));
    assert_eq!(found(&unknown("create")), (None, None), "unknown: then all of it may be theirs");
    let as_sent = with(unknown("create"), |scene| scene.shown = true);
    assert_eq!(found(&as_sent), (seen("2", false).body, Some("2".to_owned())));

    let condition = || Way::Create { condition: Some("identifier=x".to_owned()) };
    let matched = |gender: &str| {
        let mut theirs = seen("2", false);
        theirs.body.as_mut().unwrap()["gender"] = json!(gender);
        theirs
    };
    let before = || Some(json!({"resourceType": "Patient", "gender": "unknown"}));
    let scene = with(sent(condition()), |scene| scene.sent_then = before());
    assert_eq!(base(decide(&scene, Heard::Written(Ok(matched("male"))))), (before(), None));
    assert_eq!(base(decide(&sent(condition()), Heard::Written(Ok(matched("male"))))), (None, None));

    // Compared before it is called done.
    let as_sent = with(scene_with(held("2", resource())), |scene| scene.before[0].sent = true);
    assert_eq!(word(decide(&as_sent, Heard::Turn)), "read");
    let unknown = with(scene_with(held("2", resource())), |scene| scene.before[0].body = None);
    assert_eq!(word(decide(&unknown, Heard::Turn)), "read");
    assert_eq!(word(decide(&scene_with(held("2", resource())), Heard::Turn)), "has it");
}

fn scene_with(held: Held) -> Scene {
    with(scene(), |scene| {
        scene.prepared = Ok(Prepared::Ready(vec![outgoing(Some(held.clone()))]));
        scene.held = vec![held];
        scene.before = scene.held.clone();
    })
}
