//! A sync's life through the folds, conditions, idempotency, the outbox's order, the worklist.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::clock::Clock as _;

fn commit(ledger: &Ledger, proposal: Proposal) -> Receipt {
    match ledger.commit_blocking(proposal).unwrap() {
        Outcome::Committed(receipt) => receipt,
        other => panic!("not committed: {other:?}"),
    }
}

fn state(ledger: &Ledger, sync: &SyncId) -> SyncState {
    ledger.sync(sync).unwrap().unwrap().state()
}

#[test]
fn a_push_from_accepted_to_synced_and_a_newer_version_in_mid_flight() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let receipt = commit(&ledger, accept("p1", 1, "one", &["b", "a"]));
    let answer = receipt.answer.unwrap().to_json();
    assert_eq!((&answer["id"], &answer["version"]), (&json!("p1"), &json!(1)));
    assert_eq!(answer["syncs"][0]["system"], "a", "by system");
    assert_eq!(answer["syncs"][1]["state"], "accepted");
    let members: Vec<_> = answer["syncs"][0].as_object().unwrap().keys().map(String::as_str).collect();
    let contract = "id object object_id system version synced_version state remote remote_version attempts \
                    next_attempt_at code message worklist_id updated_at";
    assert_eq!(members.join(" "), contract);

    let sync = sync_of("p1", "a");
    let now = ledger.after(SignedDuration::ZERO).unwrap();
    assert_eq!(ledger.due(&system("a"), now, &BTreeSet::new(), 9).unwrap().rows[0].id, sync);
    commit(&ledger, about(&ledger, &sync, attempted(1)));
    assert_eq!(state(&ledger, &sync), SyncState::Sending);
    assert!(ledger.due(&system("a"), now, &BTreeSet::new(), 9).unwrap().rows.is_empty(), "one in flight an object");
    assert_eq!(ledger.in_flight(&system("a")).unwrap().len(), 1);
    commit(&ledger, accept("p1", 2, "two", &["a", "b"]));
    assert_eq!(state(&ledger, &sync), SyncState::Sending, "what is under way settles first");
    let row = ledger.sync(&sync).unwrap().unwrap();
    let mut draft = Draft::new(acknowledged("Appointment/9", "1", "one"), "liaison", "Done.").sync(&row);
    draft.version = Some(1);
    commit(&ledger, Proposal::of(draft));
    let row = ledger.sync(&sync).unwrap().unwrap();
    assert_eq!(
        (row.state(), row.version, row.synced_version),
        (SyncState::Accepted, 2, Some(1)),
        "the newer one follows"
    );
    commit(&ledger, about(&ledger, &sync, attempted(1)));
    commit(&ledger, about(&ledger, &sync, acknowledged("Appointment/9", "2", "two")));
    let row = ledger.sync(&sync).unwrap().unwrap();
    assert_eq!((row.state(), row.synced_version), (SyncState::Synced, Some(2)));
    assert_eq!((row.remote, row.remote_version.as_deref()), (vec!["Appointment/9".to_owned()], Some("2")));
    let linked = ledger.linked_at(&system("a"), "Appointment/9").unwrap();
    assert_eq!(linked[0].object_id, id("p1"));
    assert_eq!(ledger.body(&linked[0].body.unwrap()).unwrap().unwrap(), "two");
    let kinds: Vec<_> = ledger.history(&name("appointment"), &id("p1")).unwrap();
    let kinds: Vec<_> = kinds.iter().map(|entry| entry.draft.fact.kind()).collect();
    assert_eq!(kinds, ["accepted", "attempted", "accepted", "acknowledged", "attempted", "acknowledged"]);
    let counts = ledger.counts().unwrap();
    assert_eq!(counts[&("a".to_owned(), SyncState::Synced)], 1);
    assert_eq!(counts[&("a".to_owned(), SyncState::Accepted)], 0);
}

#[test]
fn keys_versions_and_equal_bodies_are_decided_by_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let keyed = |body: &str, key: &str| Proposal {
        idempotency: Some(Idempotency::new("c", "POST /x", key, Hash::of(body.as_bytes()))),
        ..accept("p1", 1, body, &["a"])
    };
    let first = commit(&ledger, keyed("one", "k1"));
    let again = ledger.commit_blocking(keyed("one", "k1")).unwrap();
    assert_eq!(again, Outcome::Replayed(first.clone()));
    assert!(matches!(ledger.commit_blocking(keyed("two", "k1")), Err(LedgerError::KeyReused)));
    let equal = ledger.commit_blocking(keyed("one", "k2")).unwrap();
    assert!(matches!(&equal, Outcome::Unchanged(same) if same.answer == first.answer));
    assert!(matches!(ledger.commit_blocking(keyed("two", "k3")), Err(LedgerError::Exists)));
    assert!(matches!(ledger.commit_blocking(accept("p1", 3, "x", &["a"])), Err(LedgerError::Stale { current: 1 })));
    assert!(matches!(ledger.commit_blocking(accept("p2", 2, "x", &["a"])), Err(LedgerError::NoObject)));
    let sync = sync_of("p1", "a");
    let stale = about(&ledger, &sync, attempted(1));
    commit(&ledger, stale.clone());
    assert!(matches!(ledger.commit_blocking(stale), Err(LedgerError::SyncMoved)));
    assert_eq!(ledger.head(), 2, "nothing else was written");
    let named = Proposal::of(Draft::new(Fact::Observed { remotes: vec![] }, "x", "x").body(Hash::of(b"nowhere")));
    assert!(matches!(ledger.commit_blocking(named), Err(LedgerError::Body(_))));
    drop(ledger);
    let ledger = open(folder.path());
    let Outcome::Replayed(again) = ledger.commit_blocking(keyed("one", "k1")).unwrap() else { panic!("kept for ever") };
    assert_eq!((again.first, again.last), (first.first, first.last));
    let (again, first) = (again.answer.unwrap(), first.answer.unwrap());
    assert_eq!((again.id, again.version), (first.id, first.version), "as it was then");
    assert_eq!(again.syncs, [ledger.sync(&first.syncs[0].id).unwrap().unwrap()], "as they stand");
}

#[test]
fn many_at_once_share_a_sync_and_see_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(BadDisk::default());
    let ledger = Ledger::open(folder.path(), options(clock(), disk.clone()).0).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let outcomes = runtime.block_on(async {
        let tasks: Vec<_> = (0..400)
            .map(|n| {
                let ledger = ledger.clone();
                // Every object is proposed twice at once, under one key.
                let mut proposal = accept(&format!("p{}", n / 2), 1, "same", &["a"]);
                proposal.idempotency = Some(Idempotency::new("c", "r", &format!("k{}", n / 2), Hash::of(b"same")));
                tokio::spawn(async move { ledger.commit(proposal).await.unwrap() })
            })
            .collect();
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.push(task.await.unwrap());
        }
        outcomes
    });
    let committed = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Committed(_))).count();
    assert_eq!((committed, ledger.head()), (200, 200));
    assert!(ledger.syncs_done() < 100, "{} groups for 200 entries", ledger.syncs_done());
    let waiting = ledger.due(&system("a"), clock().now(), &BTreeSet::new(), 1000).unwrap().rows;
    assert_eq!(waiting.len(), 200);
    assert!(waiting.is_sorted_by_key(|row| row.since), "oldest first");
}

#[test]
fn delays_survive_a_clock_that_jumps() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let ledger = Ledger::open(folder.path(), options(clock.clone(), Arc::new(Disk)).0).unwrap();
    for n in 1..=2 {
        commit(&ledger, accept(&format!("p{n}"), 1, "x", &["a"]));
        commit(&ledger, about(&ledger, &sync_of(&format!("p{n}"), "a"), attempted(1)));
        commit(&ledger, about(&ledger, &sync_of(&format!("p{n}"), "a"), Fact::Deferred { delay_ms: n * 60_000 }));
    }
    let due = || ledger.due(&system("a"), clock.now(), &BTreeSet::new(), 9).unwrap().rows.len();
    let next = || ledger.due(&system("a"), clock.now(), &BTreeSet::new(), 9).unwrap().next_ms;
    assert_eq!((due(), next()), (0, Some(60_000)));
    clock.advance(SignedDuration::from_hours(-1));
    assert_eq!((due(), next()), (2, None), "nobody knows how much has passed: not an hour more");
    clock.advance(SignedDuration::from_hours(1) + SignedDuration::from_secs(60));
    assert_eq!(due(), 1);
    // Those that began before the clock was set back are found behind those that began since.
    clock.advance(SignedDuration::from_mins(-30));
    commit(&ledger, accept("p3", 1, "x", &["a"]));
    commit(&ledger, about(&ledger, &sync_of("p3", "a"), attempted(1)));
    commit(&ledger, about(&ledger, &sync_of("p3", "a"), Fact::Deferred { delay_ms: 60_000 }));
    assert_eq!(due(), 2);
    let reopened = || {
        drop(ledger);
        Ledger::open(folder.path(), options(clock.clone(), Arc::new(Disk)).0).unwrap()
    };
    let ledger = reopened();
    let due = || ledger.due(&system("a"), clock.now(), &BTreeSet::new(), 9).unwrap().rows.len();
    assert_eq!(due(), 2, "also after a start");
    clock.advance(SignedDuration::from_mins(30));
    clock.advance(SignedDuration::from_hours(1));
    assert_eq!(due(), 3, "an hour forwards only shortens");
    // Order is by sequence, whatever the clock said.
    clock.advance(SignedDuration::from_hours(-9));
    commit(&ledger, accept("late", 1, "x", &["a"]));
    let entries = ledger.entries(1, 100).unwrap();
    assert!(entries.is_sorted_by_key(|entry| entry.seq) && !entries.is_sorted_by_key(|entry| entry.at));
}

#[test]
fn a_worklist_item_is_one_a_subject_and_closes_with_success() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let sync = sync_of("p1", "a");
    commit(&ledger, accept("p1", 1, "one", &["a"]));
    commit(&ledger, about(&ledger, &sync, attempted(1)));
    let detail = json!({"fields": [{"path": "/start", "base": "1", "ours": "2", "theirs": "3", "owner": "review"}]});
    let mut conflict = item(ItemKind::Conflict);
    conflict.detail = Some(Hash::of(detail.to_string().as_bytes()));
    let fact = Fact::Conflicted { item: conflict, theirs: vec![remote("Appointment/9", "5", Some("theirs"))] };
    let mut proposal = about(&ledger, &sync, fact).body(detail.to_string()).body("theirs");
    proposal.drafts[0].code = Some("LIA-LDG-004".to_owned());
    commit(&ledger, proposal);
    let row = ledger.sync(&sync).unwrap().unwrap();
    assert_eq!(row.state(), SyncState::Conflict);
    let work = row.worklist_id.unwrap();
    assert!(ledger.parts(&sync).unwrap().is_empty(), "a conflict moves no base");
    let json = ledger.item_json(&ledger.item(&work).unwrap().unwrap()).unwrap();
    let members: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let contract = "id group kind status code title what_happened who_is_affected next_step object object_id system \
                    sync_id owner due fields comments created_at dependants closed_at closed_by";
    assert_eq!(members.join(" "), contract);
    assert_eq!(json["fields"], detail["fields"]);
    assert!(json["next_step"].as_str().unwrap().contains("history"), "the page's advice");
    assert_eq!(ledger.groups().unwrap()[0].count, 1);

    let say = |fact, text: &str| {
        Proposal::of(Draft::new(fact, "ann", "A person acted.").body(Hash::of(text.as_bytes()))).body(text.to_owned())
    };
    commit(&ledger, say(Fact::Commented { item: work.clone() }, "asked the ward"));
    commit(&ledger, Proposal::of(Draft::new(Fact::Assigned { item: work.clone(), to: "bob".into() }, "ann", "x")));
    commit(&ledger, Proposal::of(Draft::new(Fact::Retried { item: work.clone() }, "bob", "x")));
    assert_eq!(state(&ledger, &sync), SyncState::Accepted);
    commit(&ledger, about(&ledger, &sync, attempted(1)));
    commit(&ledger, about(&ledger, &sync, Fact::Parked { item: item(ItemKind::Rejected) }));
    let row = ledger.item(&work).unwrap().unwrap();
    assert_eq!((row.status, row.kind), (ItemStatus::Assigned, ItemKind::Rejected), "the same item says more");
    assert_eq!(ledger.items(&WorkFilter { limit: 9, ..WorkFilter::default() }).unwrap().len(), 1);
    let mine = WorkFilter { equal: vec![("owner".into(), "bob".into())], limit: 9, after: None };
    assert_eq!(ledger.items(&mine).unwrap().len(), 1);

    commit(&ledger, Proposal::of(Draft::new(Fact::Retried { item: work.clone() }, "bob", "x")));
    commit(&ledger, about(&ledger, &sync, acknowledged("Appointment/9", "6", "x")).body("x"));
    let row = ledger.item(&work).unwrap().unwrap();
    assert_eq!((row.status, row.comments.len()), (ItemStatus::Resolved, 1));
    assert!(ledger.groups().unwrap().is_empty());
    let closed = Proposal::of(Draft::new(Fact::Dismissed { item: work.clone(), send_without: false }, "x", "x"))
        .check(Check::ItemOpen(work));
    assert!(matches!(ledger.commit_blocking(closed), Err(LedgerError::ItemClosed)));
    // A later failure opens a new one.
    commit(&ledger, accept("p1", 2, "two", &["a"]));
    commit(&ledger, about(&ledger, &sync, attempted(1)));
    commit(&ledger, about(&ledger, &sync, Fact::Parked { item: item(ItemKind::Rejected) }));
    let second = ledger.sync(&sync).unwrap().unwrap().worklist_id.unwrap();
    commit(&ledger, say(Fact::Dismissed { item: second.clone(), send_without: false }, "a test"));
    assert_eq!(state(&ledger, &sync), SyncState::Resolved);
    assert_eq!(ledger.item(&second).unwrap().unwrap().status, ItemStatus::Dismissed);
}

#[test]
fn an_unknown_outcome_keeps_its_attempt_until_it_is_settled() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let sync = sync_of("p1", "a");
    commit(&ledger, accept("p1", 1, "one", &["a"]));
    commit(&ledger, about(&ledger, &sync, attempted(1)));
    commit(&ledger, about(&ledger, &sync, Fact::Unsettled { delay_ms: 0 }));
    commit(&ledger, accept("p1", 2, "two", &["a"]));
    let row =
        &ledger.due(&system("a"), ledger.after(SignedDuration::ZERO).unwrap(), &BTreeSet::new(), 9).unwrap().rows[0];
    assert_eq!((row.state(), row.version), (SyncState::Unknown, 2), "never sent again unread");
    assert_eq!(row.in_flight().unwrap().version, 1);
    commit(&ledger, about(&ledger, &sync, Fact::Parked { item: item(ItemKind::Unknown) }));
    let work = ledger.sync(&sync).unwrap().unwrap().worklist_id.unwrap();
    commit(&ledger, Proposal::of(Draft::new(Fact::Retried { item: work }, "bob", "x")));
    let row = ledger.sync(&sync).unwrap().unwrap();
    assert_eq!((row.state(), row.in_flight().is_some()), (SyncState::Unknown, true));
    commit(&ledger, about(&ledger, &sync, Fact::Deferred { delay_ms: 0 }));
    let row = ledger.sync(&sync).unwrap().unwrap();
    assert_eq!((row.state(), row.in_flight()), (SyncState::Accepted, None));
}

#[test]
fn what_is_pulled_is_synced_there_and_sent_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let (object, object_id) = (name("appointment"), id("x1"));
    let fact = Fact::Applied {
        operation: Operation::Created,
        content: Hash::of(b"c"),
        remotes: vec![remote("Appointment/3", "1", Some("fhir"))],
        targets: vec![Target { system: system("b"), sync_id: sync_of("x1", "b") }],
    };
    let draft = Draft::new(fact, "liaison", "Taken in.").about(&object, &object_id, 1).body(Hash::of(b"c"));
    let draft = draft.system(&system("a")).sync_id(&sync_of("x1", "a"));
    let moved = Fact::CursorMoved { resource_type: "Appointment".into(), cursor: "t1".into() };
    let proposal = Proposal::of(draft).and(Draft::new(moved, "liaison", "Read on.").system(&system("a")));
    commit(&ledger, proposal.body("c").body("fhir"));
    assert_eq!(state(&ledger, &sync_of("x1", "a")), SyncState::Synced);
    assert_eq!(state(&ledger, &sync_of("x1", "b")), SyncState::Accepted);
    assert_eq!(ledger.cursor(&system("a"), "Appointment").unwrap().unwrap().cursor, "t1");
    assert_eq!(ledger.syncs_of(&object, &object_id).unwrap().len(), 2);
    let filter =
        |name: &str, text: &str| SyncFilter { equal: vec![(name.to_owned(), text.to_owned())], after: None, limit: 9 };
    for (member, text, found) in [
        ("state", "synced", 1),
        ("state", "accepted", 1),
        ("state", "parked", 0),
        ("system", "b", 1),
        ("version", "1", 2),
        ("remote", "Appointment/3", 1),
        ("object", "appointment", 2),
        ("id", sync_of("x1", "b").as_str(), 1),
        ("nonsense", "x", 0),
    ] {
        assert_eq!(ledger.syncs(&filter(member, text)).unwrap().len(), found, "{member}={text}");
    }
}

#[test]
fn the_backlog_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { max_backlog: 2, ..options(clock(), Arc::new(Disk)).0 };
    let ledger = Ledger::open(folder.path(), options).unwrap();
    let push = |n: u32| ledger.commit_blocking(accept(&format!("p{n}"), 1, "x", &["a"]).check(Check::Backlog));
    assert!(push(1).is_ok() && push(2).is_ok());
    assert!(matches!(push(3), Err(LedgerError::Backlog { pending: 2 })));
    commit(&ledger, about(&ledger, &sync_of("p1", "a"), attempted(1)));
    commit(&ledger, about(&ledger, &sync_of("p1", "a"), acknowledged("A/1", "1", "x")));
    assert!(push(3).is_ok());
}

#[test]
fn what_is_called_off_before_it_left_closes_its_question() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let sync = sync_of("p1", "a");
    commit(&ledger, accept("p1", 1, "x", &["a"]));
    commit(&ledger, about(&ledger, &sync, Fact::Parked { item: item(ItemKind::Rejected) }));
    let asked = ledger.sync(&sync).unwrap().unwrap().worklist_id.unwrap();
    commit(&ledger, accept("p1", 2, "y", &["a"]));
    assert!(ledger.item(&asked).unwrap().unwrap().status.is_open(), "it may be what stands in the way");
    commit(&ledger, about(&ledger, &sync, Fact::Spared {}));
    let row = ledger.sync(&sync).unwrap().unwrap();
    assert_eq!((row.state(), row.worklist_id), (SyncState::Resolved, None));
    assert!(!ledger.item(&asked).unwrap().unwrap().status.is_open());
}

/// The worklist is in the order of its deadlines, page by page, and what is closed is only shown to who asks for it.
#[test]
fn the_worklist_is_ordered_by_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    for (name, due_ms) in [("c", 3_000), ("a", 1_000), ("d", 4_000), ("b", 2_000), ("e", 2_000)] {
        let asks = Item { due_ms, subject: Some(name.to_owned()), ..item(ItemKind::Inbound) };
        commit(&ledger, Proposal::of(Draft::new(Fact::Parked { item: asks }, "x", "x")));
    }
    let listed = |filter: &[(&str, &str)], after: Option<&str>, limit: usize| -> Vec<(String, String)> {
        let equal = filter.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let filter = WorkFilter { equal, after: after.map(str::to_owned), limit };
        let rows = ledger.items(&filter).unwrap();
        rows.into_iter().map(|row| (row.subject.unwrap(), row.id)).collect()
    };
    let names = |rows: &[(String, String)]| rows.iter().map(|(name, _)| name.clone()).collect::<String>();
    let open_ones = [("status", "open,assigned")];
    let all = listed(&open_ones, None, 9);
    assert_eq!(names(&all), "abecd");
    assert_eq!(names(&listed(&open_ones, Some(&all[1].1), 2)), "ec");
    commit(&ledger, Proposal::of(Draft::new(Fact::Assigned { item: all[2].1.clone(), to: "ann".into() }, "x", "x")));
    let dismissed = Fact::Dismissed { item: all[1].1.clone(), send_without: false };
    commit(&ledger, Proposal::of(Draft::new(dismissed, "x", "x")));
    assert_eq!(names(&listed(&open_ones, None, 9)), "aecd");
    // Behind an item that was closed meanwhile the list goes on where it was.
    assert_eq!(names(&listed(&open_ones, Some(&all[1].1), 9)), "ecd");
    assert_eq!(names(&listed(&[("status", "assigned,dismissed")], None, 9)), "be");
    assert_eq!(names(&listed(&[("owner", "ann,bob"), ("status", "assigned")], None, 9)), "e");
    assert_eq!(names(&listed(&[("kind", "conflict")], None, 9)), "");
}
