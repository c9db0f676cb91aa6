//! Promises of PROMISES.md that no other module keeps: an outage without a stampede (R7), jumping clocks (R12), new mappings
//! (R15), replay (R17), a restored backup (R19). Judged by what reaches the EHR and by its true history.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use liaison::{
    ehr::{Request, Response},
    ledger::SyncState,
    mapping::Mappings,
    sandbox,
    sync::{Action, Change},
};
use serde_json::{Value, json};

use crate::support::{
    rig::{Rig, Tamper, faults, patient},
    root,
};

/// Counts what is under way at a time, and when writes left.
#[derive(Default)]
struct Watch {
    now: AtomicUsize,
    most: AtomicUsize,
    writes: Mutex<Vec<Instant>>,
}

impl Tamper for Watch {
    fn leaves(&self, request: &Request) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        if request.method != "GET" {
            self.writes.lock().expect("unpoisoned").push(Instant::now());
        }
    }
    fn answers(&self, _: &Request, response: Response) -> Response {
        self.now.fetch_sub(1, Ordering::SeqCst);
        response
    }
}

impl Watch {
    fn writes_since(&self, since: Instant) -> usize {
        self.writes.lock().expect("unpoisoned").iter().filter(|at| **at >= since).count()
    }
}

/// R7: while the EHR is out, single probes; afterwards never more at once than configured, and all arrives.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_drains_without_a_stampede() {
    let watch = Arc::new(Watch::default());
    let refusing = "[[fault]]\nkind = \"status\"\nmethod = \"POST\"\nstatus = 429";
    let options = sandbox::Options { faults: faults(refusing), ..sandbox::Options::practice() };
    let configure = |config: &mut liaison::sync::SystemConfig| config.max_concurrency = 3;
    let rig = Rig::with(options, configure, Some(watch.clone())).await;
    for at in 0..120 {
        rig.push("patient", patient(&format!("p{at}"))).await;
    }
    // The circuit is open by now; from here on only probes leave.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let since = Instant::now();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let probes = watch.writes_since(since);
    assert!(probes <= 6, "{probes} requests in 4 s of an outage, of 120 that wait");
    let slow = "[[fault]]\nkind = \"delay\"\nmethod = \"POST\"\nseconds = 0.03";
    rig.ehr.set_faults(&faults(slow)).expect("good");
    rig.settled(90).await;
    assert_eq!(rig.creates().len(), 120);
    assert!(rig.creates().values().all(|count| *count == 1));
    let most = watch.most.load(Ordering::SeqCst);
    assert!((2..=3).contains(&most), "{most} at once where 3 are allowed");
}

/// R12: the clock jumps an hour forwards and back while things fail, wait and arrive.
#[tokio::test(flavor = "multi_thread")]
async fn jumping_clocks_neither_stop_nor_double_anything() {
    let faulty = r#"
        seed = 4
        [[fault]]
        kind = "status"
        method = "POST"
        status = 429
        retry_after = 1
        probability = 0.1
        [[fault]]
        kind = "drop-reply"
        method = "POST|PUT"
        probability = 0.15
    "#;
    let rig = Rig::new(faulty, Rig::pulling(&["Patient"])).await;
    let mut at = 0;
    for jump in [-3_600, 7_200, -3_600, -3_600, 3_600, 3_600] {
        for _ in 0..6 {
            rig.push("patient", patient(&format!("p{at}"))).await;
            at += 1;
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
        rig.clock.jump(jump);
        // What was pushed before the jump is changed after it.
        let id = format!("p{}", at - 1);
        let change = Change::Merge(json!({"birth_date": "1981-01-01"}));
        rig.change("patient", &id, 1, change).await.expect("taken on");
    }
    rig.settled(60).await;
    assert!(rig.all_syncs().iter().all(|row| row.state() == SyncState::Synced), "{:#?}", rig.open_items());
    assert_eq!(rig.creates().len(), at);
    assert!(rig.creates().values().all(|count| *count == 1), "{:?}", rig.creates());
    // With the clock an hour back, a change at the EHR still arrives.
    rig.ehr.set_faults(&faults("")).expect("good");
    rig.clock.jump(-3_600);
    let reference = rig.sync("patient", "p0").remote[0].clone();
    rig.edit(&reference, |body| body["gender"] = json!("other"));
    rig.until(30, "the change", |rig| rig.object("patient", "p0").is_some_and(|body| body["gender"] == "other")).await;
}

/// R15: other mappings are taken into use; nothing that is in order is sent again, and what changes is sent by the new ones.
#[tokio::test(flavor = "multi_thread")]
async fn new_mappings_do_not_push_everything_again() {
    let watch = Arc::new(Watch::default());
    let mut rig = Rig::with(sandbox::Options::practice(), Rig::pulling(&["Patient"]), Some(watch.clone())).await;
    for at in 0..10 {
        rig.push("patient", patient(&format!("p{at}"))).await;
    }
    rig.settled(20).await;
    let old = rig.sync("patient", "p3").mapping.expect("which mapping");

    let folder = tempfile::tempdir().expect("a folder");
    copy(&root().join("mappings/patient"), &folder.path().join("patient"));
    let file = folder.path().join("patient/mapping.yaml");
    let text = std::fs::read_to_string(&file).expect("readable");
    // From now on every patient is marked as active where nothing was said.
    let text = text.replacen("rules:", "rules:\n  - target: Patient.language\n    constant: en-GB", 1);
    std::fs::write(&file, text).expect("writable");
    let new = Mappings::load(folder.path()).expect("mappings");
    let since = Instant::now();
    rig.engine.mappings().replace(new.clone());
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The same after a restart.
    rig.crash().await;
    rig.engine.mappings().replace(new);
    rig.start();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(watch.writes_since(since), 0, "nothing is sent because of new mappings");

    rig.change("patient", "p3", 1, Change::Merge(json!({"birth_date": "1981-01-01"}))).await.expect("taken on");
    rig.settled(20).await;
    assert_eq!(watch.writes_since(since), 1, "only what changed");
    let there = rig.states("Patient", "p3").pop().expect("there");
    assert_eq!(there["birthDate"], "1981-01-01");
    assert_ne!(rig.sync("patient", "p3").mapping.expect("which mapping"), old);
    assert!(rig.open_items().is_empty());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("readable");
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).expect("copied");
        }
    }
}

/// R17: what was refused is replayed after newer versions came: never older over newer, in whatever order people retry.
#[tokio::test(flavor = "multi_thread")]
async fn replaying_failures_never_writes_older_over_newer() {
    let refusing = "[[fault]]\nkind = \"status\"\nmethod = \"POST|PUT\"\nstatus = 422";
    let rig = Rig::new(refusing, |_| {}).await;
    let family = |version: u64| json!({"names": [{"family": format!("Version {version}"), "given": ["Ada"]}]});
    for at in 0..6 {
        let mut body = patient(&format!("p{at}"));
        body["names"] = family(1)["names"].clone();
        rig.push("patient", body).await;
    }
    rig.until(20, "six refused", |rig| rig.open_items().len() == 6).await;
    let refused: Vec<String> =
        rig.open_items().iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect();
    // p0 to p2 get newer versions that are refused as well, p3 one that arrives.
    for at in 0..3 {
        rig.change("patient", &format!("p{at}"), 1, Change::Merge(family(2))).await.expect("taken on");
    }
    rig.settled(20).await;
    rig.ehr.set_faults(&faults("")).expect("good");
    rig.change("patient", "p3", 1, Change::Merge(family(2))).await.expect("taken on");
    rig.state("patient", "p3", SyncState::Synced, 10).await;
    // Now everybody retries whatever is or was on their list, one by one and by groups, twice over.
    let groups: BTreeSet<String> =
        rig.items().iter().map(|item| item["group"].as_str().expect("a group").to_owned()).collect();
    for _ in 0..2 {
        for id in refused.iter().rev() {
            let _ = rig.engine.act(id, Action::Retry, "eve").await;
        }
        for group in &groups {
            let _ = rig.engine.retry_group(group, "adam").await;
        }
        rig.settled(20).await;
    }
    assert!(rig.open_items().is_empty(), "{:#?}", rig.open_items());
    for at in 0..6 {
        let states = rig.states("Patient", &format!("p{at}"));
        let versions: Vec<&str> = states.iter().filter_map(|body| body["name"][0]["family"].as_str()).collect();
        let newest = if at <= 3 { "Version 2" } else { "Version 1" };
        assert_eq!(versions, [newest], "p{at}: only the newest, and once");
    }
}

/// R19: the gateway's disk is lost, a backup from before the last pushes is restored. An EHR that cannot create under a condition
/// is looked through before anything is created there; what was made there meanwhile comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_looks_before_it_pushes() {
    let naive = "[[fault]]\nkind = \"ignore-if-none-exist\"";
    let mut rig = Rig::new(naive, Rig::pulling(&["Patient"])).await;
    rig.push("patient", patient("before")).await;
    rig.settled(10).await;
    rig.stop().await;
    for at in 0..8 {
        rig.push("patient", patient(&format!("p{at}"))).await;
    }
    let backup = tempfile::tempdir().expect("a folder");
    let kept = backup.path().join("kept");
    rig.reopen(|folder| copy(folder, &kept)).await;
    rig.start();
    rig.settled(20).await;
    rig.push("patient", patient("after")).await;
    rig.change("patient", "p0", 1, Change::Merge(json!({"birth_date": "1981-01-01"}))).await.expect("taken on");
    rig.settled(20).await;
    assert_eq!(rig.creates().len(), 10);
    rig.stop().await;
    rig.reopen(|folder| {
        std::fs::remove_dir_all(folder).expect("the disk is lost");
        copy(&kept, folder);
    })
    .await;
    assert!(rig.object("patient", "after").is_none(), "the backup is older");
    rig.start();
    rig.settled(30).await;
    let creates = rig.creates();
    assert!(creates.values().all(|count| *count == 1), "nothing twice: {creates:?}");
    assert!(rig.all_syncs().iter().all(|row| row.state() == SyncState::Synced), "{:#?}", rig.open_items());
    rig.until(30, "what was made meanwhile", |rig| rig.object("patient", "after").is_some()).await;
    // What the EHR got meanwhile is not written over by the older state here: it comes back, or a person is asked.
    rig.until(30, "the newer birth date", |rig| {
        let here = rig.object("patient", "p0").is_some_and(|body| body["birth_date"] == "1981-01-01");
        here || rig.open_items().iter().any(|item| item["object_id"] == "p0")
    })
    .await;
    let there: Value = rig.states("Patient", "p0").pop().expect("there");
    assert_eq!(there["birthDate"], "1981-01-01", "the newer state stands at the EHR");
}
