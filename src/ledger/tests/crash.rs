//! Crashes and damage: torn tails, flipped bytes, folds deleted, disk full, a sync that fails, bodies gone.

use std::{fs, path::PathBuf};

use super::*;

fn fill(folder: &Path, count: usize) -> Ledger {
    let ledger = open(folder);
    for n in 0..count {
        ledger.commit_blocking(accept(&format!("p{n}"), 1, &format!("body {n}"), &["a", "b"])).unwrap();
        ledger.commit_blocking(about(&ledger, &sync_of(&format!("p{n}"), "a"), attempted(1))).unwrap();
    }
    ledger
}

fn log(folder: &Path) -> PathBuf {
    folder.join("log/000000000001.ndjson")
}

#[test]
fn folds_deleted_or_spoilt_come_back_equal() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = fill(folder.path(), 30);
    let before = folds(&ledger);
    assert!(before.len() > 100);
    drop(ledger);
    fs::remove_dir_all(folder.path().join("folds")).unwrap();
    let ledger = open(folder.path());
    assert_eq!(folds(&ledger), before);
    drop(ledger);
    let db = folder.path().join("folds/db");
    let mut bytes = fs::read(&db).unwrap();
    for at in (0..bytes.len()).step_by(97) {
        bytes[at] ^= 0x55;
    }
    fs::write(&db, bytes).unwrap();
    fs::remove_dir_all(folder.path().join("index")).unwrap();
    let ledger = open(folder.path());
    assert_eq!(folds(&ledger), before);
}

#[test]
fn a_second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = fill(folder.path(), 1);
    let second = Ledger::open(folder.path(), Options::new(clock()));
    assert!(matches!(second, Err(LedgerError::InUse(_))));
    drop(first);
    open(folder.path());
}

#[test]
fn a_torn_tail_is_cut_and_a_proposal_is_whole_or_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = fill(folder.path(), 2);
    let two = accept("last", 1, "last", &["a"]).and(Draft::new(Fact::Observed { remotes: vec![] }, "x", "x"));
    ledger.commit_blocking(two).unwrap();
    drop(ledger);
    let whole = fs::read(log(folder.path())).unwrap();
    let ends: Vec<usize> = whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
    assert_eq!(ends.len(), 6);
    let copy = tempfile::tempdir().unwrap();
    for length in (ends[3]..whole.len()).step_by(7) {
        let _ = fs::remove_dir_all(copy.path());
        fs::create_dir_all(copy.path().join("log")).unwrap();
        fs::create_dir_all(copy.path().join("bodies")).unwrap();
        fs::copy(folder.path().join("bodies/00000001.bodies"), copy.path().join("bodies/00000001.bodies")).unwrap();
        fs::write(log(copy.path()), &whole[..length]).unwrap();
        let ledger = open(copy.path());
        assert_eq!(ledger.head(), 4, "length {length}: half a proposal is none");
        ledger.commit_blocking(accept("next", 1, "next", &["a"])).unwrap();
        drop(ledger);
        assert_eq!(open(copy.path()).head(), 5);
    }
    // A page that never reached the disk.
    let mut holed = whole.clone();
    holed[ends[3] + 40..ends[4] + 40].fill(0);
    fs::write(log(copy.path()), holed).unwrap();
    let _ = fs::remove_dir_all(copy.path().join("folds"));
    let _ = fs::remove_file(copy.path().join("checkpoint.json"));
    assert_eq!(open(copy.path()).head(), 4);
}

#[test]
fn damage_is_refused_by_name_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    drop(fill(folder.path(), 3));
    let whole = fs::read(log(folder.path())).unwrap();
    let mut ends: Vec<usize> = whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at).collect();
    for (entry, at) in ends.drain(..).enumerate() {
        let _ = fs::remove_dir_all(folder.path().join("folds"));
        let mut bad = whole.clone();
        bad[at - 90] ^= 1;
        fs::write(log(folder.path()), bad).unwrap();
        let refused = Ledger::open(folder.path(), Options::new(clock()));
        assert!(
            matches!(refused, Err(LedgerError::Damaged { seq, .. }) if seq == entry as u64 + 1),
            "entry {entry}: {refused:?}"
        );
    }
}

#[test]
fn a_lost_body_is_torn_only_in_the_last_group() {
    let folder = tempfile::tempdir().unwrap();
    drop(fill(folder.path(), 3));
    let path = folder.path().join("bodies/00000001.bodies");
    let whole = fs::read(&path).unwrap();
    fs::remove_file(folder.path().join("checkpoint.json")).unwrap();
    // The last body belongs to an entry that a later group follows: it was synced.
    fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    fs::remove_dir_all(folder.path().join("folds")).unwrap();
    let refused = Ledger::open(folder.path(), Options::new(clock()));
    assert!(matches!(refused, Err(LedgerError::Damaged { seq: 5, .. })), "{refused:?}");
    // In the last group it is what a power cut leaves.
    let lines = fs::read(log(folder.path())).unwrap();
    let ends: Vec<usize> = lines.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
    fs::write(log(folder.path()), &lines[..ends[4]]).unwrap();
    let _ = fs::remove_dir_all(folder.path().join("folds"));
    let _ = fs::remove_file(folder.path().join("checkpoint.json"));
    let ledger = open(folder.path());
    assert_eq!(ledger.head(), 4);
    ledger.commit_blocking(accept("p2", 1, "body 2", &["a"])).unwrap();
    assert_eq!(ledger.body(&Hash::of(b"body 2")).unwrap().unwrap(), "body 2");
}

#[test]
fn a_failed_sync_is_fatal_and_nothing_is_confirmed_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(BadDisk::default());
    let (options, fatal) = options(clock(), disk.clone());
    let ledger = Ledger::open(folder.path(), options).unwrap();
    ledger.commit_blocking(accept("p1", 1, "x", &["a"])).unwrap();
    disk.sync_fails.store(true, Ordering::SeqCst);
    let refused = ledger.commit_blocking(accept("p2", 1, "x", &["a"]));
    assert!(matches!(refused, Err(LedgerError::Stopped(_))));
    disk.sync_fails.store(false, Ordering::SeqCst);
    let refused = ledger.commit_blocking(accept("p3", 1, "x", &["a"]));
    assert!(matches!(refused, Err(LedgerError::Stopped(_))), "no going on after a failed sync");
    assert_eq!(fatal.lock().unwrap().len(), 1, "told once");
    assert!(ledger.is_ready().is_err());
    drop(ledger);
    let ledger = open(folder.path());
    assert!(ledger.object(&name("appointment"), &id("p1")).unwrap().is_some(), "whole after the restart");
    assert!(ledger.object(&name("appointment"), &id("p3")).unwrap().is_none());
}

#[test]
fn a_full_disk_is_refused_before_the_append_and_goes_on_with_room() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(BadDisk::default());
    let (options, fatal) = options(clock(), disk.clone());
    let ledger = Ledger::open(folder.path(), options).unwrap();
    ledger.commit_blocking(accept("p1", 1, "x", &["a"])).unwrap();
    let length = fs::metadata(log(folder.path())).unwrap().len();
    disk.full.store(true, Ordering::SeqCst);
    let refused = ledger.commit_blocking(accept("p2", 1, "x", &["a"]));
    assert!(matches!(refused, Err(LedgerError::DiskFull { .. })));
    let large = ledger.commit_blocking(accept("p2", 1, &"x".repeat(100_000), &["a"]));
    assert!(matches!(large, Err(LedgerError::DiskFull { .. })));
    assert_eq!(fs::metadata(log(folder.path())).unwrap().len(), length, "nothing was appended");
    disk.full.store(false, Ordering::SeqCst);
    ledger.commit_blocking(accept("p2", 1, "x", &["a"])).unwrap();
    // What was begun can still end when nothing more may begin.
    ledger.commit_blocking(about(&ledger, &sync_of("p1", "a"), attempted(1))).unwrap();
    disk.free.store(12 << 20, Ordering::SeqCst);
    let begun = ledger.commit_blocking(about(&ledger, &sync_of("p2", "a"), attempted(1)));
    assert!(matches!(begun, Err(LedgerError::DiskFull { .. })));
    ledger.commit_blocking(about(&ledger, &sync_of("p1", "a"), acknowledged("A/1", "1", "x"))).unwrap();
    assert!(fatal.lock().unwrap().is_empty());
}

#[test]
fn bodies_large_and_small_are_kept_and_can_be_erased() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let (small, large) = ("small".to_owned(), "large".repeat(30_000));
    for (n, body) in [&small, &large].into_iter().enumerate() {
        let hash = Hash::of(body.as_bytes());
        ledger.commit_blocking(accept(&format!("p{n}"), 1, body, &["a"])).unwrap();
        assert_eq!(ledger.body(&hash).unwrap().unwrap(), body.as_bytes());
        assert_eq!(ledger.body_file(&hash).is_some(), n == 1);
        let erased = Draft::new(Fact::Erased { reason: "asked for".into() }, "dpo", "A body was erased.").body(hash);
        ledger.commit_blocking(Proposal::of(erased)).unwrap();
        assert_eq!(ledger.body(&hash).unwrap(), None);
    }
    let before = folds(&ledger);
    drop(ledger);
    let disk = fs::read(folder.path().join("bodies/00000001.bodies")).unwrap();
    assert!(!disk.windows(5).any(|bytes| bytes == b"small"));
    let _ = fs::remove_dir_all(folder.path().join("folds"));
    let ledger = open(folder.path());
    assert_eq!((folds(&ledger), ledger.head()), (before, 4), "the chain stays whole");
}

#[test]
fn segments_roll_and_are_read_across() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 3000, ..options(clock(), Arc::new(Disk)).0 };
    let ledger = Ledger::open(folder.path(), options).unwrap();
    for n in 0..40 {
        ledger.commit_blocking(accept(&format!("p{n}"), 1, "x", &["a"])).unwrap();
    }
    assert!(fs::read_dir(folder.path().join("log")).unwrap().count() > 5);
    let before = folds(&ledger);
    drop(ledger);
    let ledger = open(folder.path());
    assert_eq!(ledger.entries(1, 100).unwrap().len(), 40);
    drop(ledger);
    for derived in ["folds", "index"] {
        fs::remove_dir_all(folder.path().join(derived)).unwrap();
    }
    fs::remove_file(folder.path().join("checkpoint.json")).unwrap();
    let ledger = open(folder.path());
    assert_eq!(folds(&ledger), before);
    assert_eq!(ledger.entry(33).unwrap().unwrap().seq, 33);
    drop(ledger);
    let middle = fs::read_dir(folder.path().join("log")).unwrap().map(|f| f.unwrap().path()).max().unwrap();
    fs::remove_file(middle.with_file_name("000000000001.ndjson")).unwrap();
    let _ = fs::remove_dir_all(folder.path().join("folds"));
    assert!(Ledger::open(folder.path(), Options::new(clock())).is_err(), "a missing file is damage");
}
