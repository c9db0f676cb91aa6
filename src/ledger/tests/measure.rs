//! Figures, on demand: `cargo test --release --lib ledger::tests::measure -- --ignored --nocapture`. Ratios of PROMISES
//! P5, P6, P9, P10, P11; they depend on the machine, so they are printed and not judged.

use std::{fs, os::unix::fs::FileExt as _, time::Instant};

use super::*;
use crate::clock::SystemClock;

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[test]
#[ignore = "takes minutes; prints figures"]
fn figures() {
    let count: usize = std::env::var("ENTRIES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir_in(std::env::var("LIAISON_MEASURE_IN").unwrap_or_else(|_| "/tmp".into())).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let before = resident_kib();
    let ledger = Ledger::open(folder.path(), Options::new(Arc::new(SystemClock))).unwrap();
    let single = |label: &str, at: usize| {
        let file = fs::File::create(folder.path().join("probe")).unwrap();
        let (mut probe, mut ours) = (Vec::new(), Vec::new());
        for n in 0..200_u64 {
            let begin = Instant::now();
            file.write_all_at(&[7; 700], n * 700).unwrap();
            file.sync_data().unwrap();
            probe.push(begin.elapsed().as_secs_f64() * 1e6);
            let proposal = accept(&format!("single-{at}-{n}"), 1, &format!("body {n} of {at}"), &["a"]);
            let begin = Instant::now();
            runtime.block_on(ledger.commit(proposal)).unwrap();
            ours.push(begin.elapsed().as_secs_f64() * 1e6);
        }
        let begin = Instant::now();
        for n in 0..2000_u64 {
            ledger.entry(n * 7919 % ledger.head() + 1).unwrap();
        }
        let read = begin.elapsed().as_secs_f64() * 1e6 / 2000.0;
        let (probe, ours) = (median(probe), median(ours));
        println!(
            "{label}: fdatasync {probe:.0} us, ack {ours:.0} us, ratio {:.2}; read by seq {read:.1} us",
            ours / probe
        );
    };
    single("empty", 0);
    for (label, until) in [("10^4", 10_000.min(count)), ("all", count)] {
        let begin = Instant::now();
        let (head, syncs) = (ledger.head(), ledger.syncs_done());
        runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for client in 0..64 {
                let ledger = ledger.clone();
                tasks.spawn(async move {
                    let mut n = 0;
                    while ledger.head() < until as u64 {
                        n += 1;
                        let object_id = format!("{until}-{client}-{n}");
                        let body = format!("{{\"id\":\"{object_id}\",\"text\":\"{}\"}}", "x".repeat(300));
                        ledger.commit(accept(&object_id, 1, &body, &["a"])).await.unwrap();
                    }
                });
            }
            while tasks.join_next().await.is_some() {}
        });
        let (entries, seconds) = (ledger.head() - head, begin.elapsed().as_secs_f64());
        let syncs = ledger.syncs_done() - syncs;
        println!(
            "{label}: {entries} entries in {seconds:.1} s = {:.0}/s, 1 fsync for {:.1}; {} MiB more memory",
            entries as f64 / seconds,
            entries as f64 / syncs as f64,
            (resident_kib() - before) / 1024
        );
        single(label, until);
    }
    let killed = folder.path().join("killed");
    fs::create_dir(&killed).unwrap();
    // As after kill -9: the files as they are, the folds' last moments missing.
    for part in ["log", "index", "bodies", "folds", "checkpoint.json"] {
        let done = std::process::Command::new("cp").arg("-r").arg(folder.path().join(part)).arg(&killed).status();
        assert!(done.unwrap().success());
    }
    let begin = Instant::now();
    let again = open(&killed);
    println!("reopen {} entries after kill -9: {:.2} s", again.head(), begin.elapsed().as_secs_f64());
    drop(again);
    fs::remove_dir_all(killed.join("folds")).unwrap();
    let begin = Instant::now();
    drop(open(&killed));
    println!("folds replayed in {:.1} s", begin.elapsed().as_secs_f64());
}
