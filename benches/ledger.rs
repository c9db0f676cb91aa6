//! What a long ledger costs (PROMISES P9 to P11): append and read by id with a million entries against ten thousand
//! (two ledgers, interleaved), memory, and the reopening after kill -9 of a process that was writing.
//! `cargo bench --bench ledger`; `ENTRIES=1000000` is the promise's size; the ledgers' disk by `BENCH_DIR`.

mod support;

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use liaison::{
    clock::SystemClock,
    domain::{ObjectId, ObjectName, SystemName},
    ledger::{Check, Draft, Expect, Fact, Hash, Ledger, Operation, Options, Outcome, Proposal, Remote, SyncId, Target},
};
use support::{Table, median, memory_kib, size};
use tokio::{runtime::Runtime, task::JoinSet};

const CLIENTS: usize = 64;
const SMALL: usize = 10_000;

fn main() {
    if support::only_checked() {
        return;
    }
    if let Ok(folder) = std::env::var("LEDGER_BENCH_WRITES") {
        return write_until_killed(Path::new(&folder));
    }
    let within = std::env::var("BENCH_DIR").unwrap_or_else(|_| "/tmp".to_owned());
    let folder = tempfile::tempdir_in(within).expect("a folder");
    let entries = size("ENTRIES", 100_000);
    // A process of its own does the writing, so that memory is only the ledger's, and so that it can be killed.
    let this = std::env::current_exe().expect("a path");
    let mut child = Command::new(this)
        .env("LEDGER_BENCH_WRITES", folder.path())
        .env("ENTRIES", entries.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the bench runs itself");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut figures = Vec::new();
    for line in lines.map_while(Result::ok) {
        match line.strip_prefix("figure ") {
            Some(figure) => figures.push(figure.parse::<f64>().expect("a number")),
            None if line == "kill me" => break,
            None => println!("{line}"),
        }
    }
    child.kill().expect("killed");
    let _ = child.wait();
    let &[append, read, memory] = figures.as_slice() else { panic!("three figures") };
    let begin = Instant::now();
    let ledger = open(&large(folder.path()));
    let reopen = begin.elapsed().as_secs_f64();
    println!("P11: {} entries opened in {reopen:.3} s after kill -9", ledger.head());
    let mut table = Table::new("PROMISES P9 to P11");
    let (good, aim) = (Some(1.5), Some(1.1));
    table.most(&format!("P9 append at {entries} / {SMALL} entries, {CLIENTS} clients"), append, "x", good, aim);
    table.most(&format!("P9 read by id at {entries} / {SMALL} entries"), read, "x", good, aim);
    table.most(&format!("P10 memory added by {entries} entries"), memory, "MiB", Some(150.0), Some(64.0));
    table.most(&format!("P11 to reopen {entries} entries after kill -9"), reopen, "s", Some(5.0), Some(0.5));
    table.finish();
}

fn large(folder: &Path) -> PathBuf {
    folder.join("large")
}

fn open(folder: &Path) -> Ledger {
    Ledger::open(folder, Options::new(Arc::new(SystemClock))).expect("a ledger")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn write_until_killed(folder: &Path) {
    let entries = size("ENTRIES", 100_000);
    let runtime = runtime();
    let before = memory_kib("self", "VmRSS") as f64 / 1024.0;
    let large = open(&large(folder));
    let begin = Instant::now();
    let mut objects = fill(&runtime, &large, "l", 0, entries);
    let seconds = begin.elapsed().as_secs_f64();
    // Freed memory that the allocator keeps counts: it is what an administrator sees.
    let memory = memory_kib("self", "VmRSS") as f64 / 1024.0 - before;
    println!(
        "{} entries in {seconds:.0} s, {:.0}/s, one fsync for {:.1}",
        large.head(),
        large.head() as f64 / seconds,
        large.head() as f64 / large.syncs_done() as f64
    );
    let small = open(&folder.join("small"));
    let mut few = fill(&runtime, &small, "s", 0, SMALL);
    let (mut append, mut read) = (Vec::new(), Vec::new());
    for round in 0..5 {
        let timed = |ledger: &Ledger, prefix: &str, from: &mut usize| {
            let begin = Instant::now();
            *from = fill(&runtime, ledger, prefix, *from, 3_000);
            begin.elapsed().as_secs_f64()
        };
        let (slow, quick) = (timed(&large, "l", &mut objects), timed(&small, "s", &mut few));
        append.push(slow / quick);
        let (far, near) = (read_some(&large, "l", objects, round), read_some(&small, "s", few, round));
        println!("append {:.1} / {:.1} us, read by id {far:.1} / {near:.1} us", slow / 3e3 * 1e6, quick / 3e3 * 1e6);
        read.push(far / near);
    }
    println!("figure {}\nfigure {}\nfigure {memory}\nkill me", median(&mut append), median(&mut read));
    loop {
        objects = fill(&runtime, &large, "l", objects, 3_000);
    }
}

/// Microseconds to read an object by its id, its body and its sync with it.
fn read_some(ledger: &Ledger, prefix: &str, objects: usize, round: usize) -> f64 {
    const COUNT: usize = 4_000;
    let begin = Instant::now();
    for at in 0..COUNT {
        let id = id(prefix, ((at + round * COUNT) * 7_919) % objects);
        let row = ledger.object(&name(), &id).expect("readable").expect("there");
        assert!(ledger.body(&row.body.expect("a body")).expect("readable").is_some());
        assert!(ledger.sync(&SyncId::of(&name(), &id, &system())).expect("readable").is_some());
    }
    begin.elapsed().as_secs_f64() * 1e6 / COUNT as f64
}

fn name() -> ObjectName {
    ObjectName::new("appointment").expect("a name")
}
fn system() -> SystemName {
    SystemName::new("ehr").expect("a name")
}
fn id(prefix: &str, at: usize) -> ObjectId {
    ObjectId::new(&format!("{prefix}-{at}")).expect("an id")
}

/// Adds about so many entries, three an object (accepted, attempted, acknowledged), from many clients; the objects so far.
fn fill(runtime: &Runtime, ledger: &Ledger, prefix: &str, from: usize, entries: usize) -> usize {
    let until = from + entries.div_ceil(3);
    runtime.block_on(async {
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (ledger, prefix) = (ledger.clone(), prefix.to_owned());
            clients.spawn(async move {
                for at in (from + client..until).step_by(CLIENTS) {
                    push(&ledger, &id(&prefix, at)).await;
                }
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended.expect("no panic");
        }
    });
    until
}

/// One push, as the engine writes it down.
async fn push(ledger: &Ledger, id: &ObjectId) {
    let (name, system) = (name(), system());
    let ours = format!("{{\"id\":\"{id}\",\"text\":\"{}\"}}", "x".repeat(500)).into_bytes();
    let theirs =
        format!("{{\"resourceType\":\"Appointment\",\"id\":\"{id}\",\"text\":\"{}\"}}", "y".repeat(900)).into_bytes();
    let content = Hash::of(&ours);
    let sync_id = SyncId::of(&name, id, &system);
    let targets = vec![Target { system: system.clone(), sync_id: sync_id.clone() }];
    let fact = Fact::Accepted { operation: Operation::Created, content, targets, sent: None };
    let draft = Draft::new(fact, "bench", "Appointment: taken on.").about(&name, id, 1).body(content);
    let check = Check::Object(name.clone(), id.clone(), Expect::NewOrEqual(content));
    committed(ledger, Proposal::of(draft).body(ours).check(check).check(Check::Backlog)).await;
    let row = ledger.sync(&sync_id).expect("readable").expect("there");
    let output = Some(Hash::of(&theirs));
    let attempted = Fact::Attempted {
        attempt: 1,
        part: "main".to_owned(),
        interaction: "create".to_owned(),
        mapping: Some("m1".to_owned()),
        output,
    };
    let draft = Draft::new(attempted, "liaison", "Sending to ehr.").sync(&row).about(&name, id, 1);
    committed(ledger, Proposal::of(draft).check(Check::SyncAt(sync_id, row.seq))).await;
    let remote = Remote {
        part: "main".to_owned(),
        reference: format!("Appointment/{id}"),
        version: Some("1".to_owned()),
        body: output,
        settled: None,
        sent: false,
    };
    let fact = Fact::Acknowledged { done: true, remotes: vec![remote], mapping: Some("m1".to_owned()), output };
    let draft = Draft::new(fact, "liaison", "ehr has it.").sync(&row).about(&name, id, 1);
    committed(ledger, Proposal::of(draft).body(theirs)).await;
}

async fn committed(ledger: &Ledger, proposal: Proposal) {
    assert!(matches!(ledger.commit(proposal).await, Ok(Outcome::Committed(_))));
}
