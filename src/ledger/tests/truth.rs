//! The ledger's truth (FAULTS, part 3): what a power cut leaves of the last group is cut and nothing else is; `verify`,
//! the start and the auditor's script agree; the index is no truth; what is to be erased goes.

use std::{fs, path::PathBuf, process::Command};

use super::*;

fn log(folder: &Path) -> PathBuf {
    folder.join("log/000000000001.ndjson")
}

fn bodies(folder: &Path) -> PathBuf {
    folder.join("bodies/00000001.bodies")
}

/// Ten objects, each in a group of its own, as a killed process leaves them: without a last checkpoint.
fn killed(folder: &Path) -> (Vec<u8>, Vec<u8>) {
    let ledger = open(folder);
    for n in 0..10 {
        ledger.commit_blocking(accept(&format!("p{n}"), 1, &format!("body {n}"), &["a"])).unwrap();
    }
    drop(ledger);
    fs::remove_file(folder.join("checkpoint.json")).unwrap();
    (fs::read(log(folder)).unwrap(), fs::read(bodies(folder)).unwrap())
}

fn lay(folder: &Path, (lines, records): (&[u8], &[u8])) {
    for derived in ["folds", "index"] {
        let _ = fs::remove_dir_all(folder.join(derived));
    }
    let _ = fs::remove_file(folder.join("checkpoint.json"));
    fs::write(log(folder), lines).unwrap();
    fs::write(bodies(folder), records).unwrap();
}

fn script(folder: &Path) -> Option<u64> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/verify-ledger.sh");
    let out = Command::new("sh").arg(script).arg(folder).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let count = text.split(' ').next().and_then(|count| count.parse().ok());
    count.filter(|_| out.status.success())
}

/// What `verify`, the script and then the start say: how many entries there are, or nothing where it is damaged.
fn verdicts(folder: &Path) -> [Option<u64>; 3] {
    let verified = Audit::of(folder).unwrap().verify().unwrap();
    let verify = verified.is_ok().then_some(verified.entries);
    let script = script(folder);
    let start = match Ledger::open(folder, options(clock(), Arc::new(Disk)).0) {
        Ok(ledger) => Some(ledger.head()),
        Err(LedgerError::Damaged { .. }) => None,
        Err(other) => panic!("{other}"),
    };
    [verify, script, start]
}

fn ends(lines: &[u8]) -> Vec<usize> {
    lines.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect()
}

#[test]
fn bodies_that_end_before_the_last_group_are_a_power_cut_and_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (lines, records) = killed(folder.path());
    // The log's sync was done and the bodies' was not: they end cleanly after nine records.
    let last = records.windows(7).rposition(|bytes| bytes == b"sha256-").unwrap();
    lay(folder.path(), (&lines, &records[..last]));
    assert_eq!(verdicts(folder.path()), [Some(9); 3]);
    let ledger = open(folder.path());
    ledger.commit_blocking(accept("p9", 1, "body 9", &["a"])).unwrap();
    assert_eq!(ledger.body(&Hash::of(b"body 9")).unwrap().unwrap(), "body 9");
    drop(ledger);
    assert_eq!(verdicts(folder.path()), [Some(10); 3]);
    // Two records fewer: the last but one was confirmed by the group behind it.
    let before = records[..last].windows(7).rposition(|bytes| bytes == b"sha256-").unwrap();
    lay(folder.path(), (&lines, &records[..before]));
    assert_eq!(verdicts(folder.path()), [None; 3]);
}

#[test]
fn nuls_before_confirmed_entries_are_damage_wherever_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (lines, records) = killed(folder.path());
    let ends = ends(&lines);
    for (entry, end) in ends.iter().enumerate() {
        let mut holed = lines.clone();
        holed[end - 200..end - 184].fill(0);
        lay(folder.path(), (&holed, &records));
        let expected = if entry == 9 { Some(9) } else { None };
        assert_eq!(verdicts(folder.path()), [expected; 3], "entry {}", entry + 1);
        assert!(entry == 9 || fs::read(log(folder.path())).unwrap() == holed, "nothing confirmed was cut");
    }
}

#[test]
fn a_checkpoint_says_what_was_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    drop(killed(folder.path()));
    // A clean stop leaves a checkpoint.
    drop(open(folder.path()));
    let mark = fs::read(folder.path().join("checkpoint.json")).unwrap();
    let (lines, records) = (fs::read(log(folder.path())).unwrap(), fs::read(bodies(folder.path())).unwrap());
    let with_mark = |lines: &[u8], records: &[u8]| {
        lay(folder.path(), (lines, records));
        fs::write(folder.path().join("checkpoint.json"), &mark).unwrap();
        verdicts(folder.path())
    };
    let ends = ends(&lines);
    assert_eq!(with_mark(&lines[..ends[8] + 40], &records), [None; 3], "a torn line that was confirmed");
    assert_eq!(with_mark(&lines[..ends[7]], &records), [None; 3], "a log that ends too early");
    assert_eq!(with_mark(&lines, &records[..records.len() - 3]), [None; 3], "a body that was confirmed");
    assert_eq!(with_mark(&lines, &records), [Some(10); 3]);
}

#[test]
fn every_torn_end_of_log_and_bodies_is_told_alike() {
    let folder = tempfile::tempdir().unwrap();
    let (lines, records) = killed(folder.path());
    let ends = ends(&lines);
    let last = records.windows(7).rposition(|bytes| bytes == b"sha256-").unwrap();
    for log_end in (ends[8]..=lines.len()).step_by(61).chain([lines.len()]) {
        for body_end in (last..=records.len()).step_by(23).chain([records.len()]) {
            lay(folder.path(), (&lines[..log_end], &records[..body_end]));
            let whole = log_end == lines.len() && body_end == records.len();
            assert_eq!(verdicts(folder.path()), [Some(9 + u64::from(whole)); 3], "{log_end} {body_end}");
        }
    }
}

#[test]
fn what_stands_behind_damaged_bodies_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let (lines, mut records) = killed(folder.path());
    // An orphan whose group was never written, spoilt since; and a later segment with a body of its own.
    records.extend_from_slice(format!("{} 5\nwrong\n", Hash::of(b"right")).as_bytes());
    lay(folder.path(), (&lines, &records));
    let ledger = open(folder.path());
    ledger.commit_blocking(accept("later", 1, "later body", &["a"])).unwrap();
    drop(ledger);
    let second = folder.path().join("bodies/00000002.bodies");
    let written = fs::read(&second).unwrap();
    assert!(written.windows(10).any(|bytes| bytes == b"later body"));
    // A full scan (no checkpoint, no folds) meets the damage again.
    let _ = fs::remove_dir_all(folder.path().join("folds"));
    let _ = fs::remove_file(folder.path().join("checkpoint.json"));
    let ledger = open(folder.path());
    ledger.commit_blocking(accept("last", 1, "last body", &["a"])).unwrap();
    drop(ledger);
    assert!(fs::read(&second).unwrap().starts_with(&written), "nothing was overwritten");
    let ledger = open(folder.path());
    for body in ["body 3", "later body", "last body"] {
        assert_eq!(ledger.body(&Hash::of(body.as_bytes())).unwrap().unwrap(), body);
    }
    assert_eq!(verified_entries(folder.path()), Some(12));
}

/// What `verify` alone says.
fn verified_entries(folder: &Path) -> Option<u64> {
    let verified = Audit::of(folder).unwrap().verify().unwrap();
    verified.is_ok().then_some(verified.entries)
}

#[test]
fn an_asker_who_gets_an_error_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    ledger.commit_blocking(accept("p1", 1, "x", &["a"])).unwrap();
    let before = (folds(&ledger), fs::read(log(folder.path())).unwrap());
    // A good draft and one that the syncs' states do not allow, in one proposal.
    let row = ledger.sync(&sync_of("p1", "a")).unwrap().unwrap();
    let impossible = Draft::new(Fact::Unsettled { delay_ms: 1 }, "test", "Never sent.").sync(&row);
    let refused = ledger.commit_blocking(accept("p2", 1, "y", &["a"]).and(impossible));
    assert!(matches!(refused, Err(LedgerError::Impossible { .. })), "{refused:?}");
    assert_eq!((folds(&ledger), fs::read(log(folder.path())).unwrap()), before);
    ledger.commit_blocking(accept("p2", 1, "y", &["a"])).unwrap();
    drop(ledger);
    assert_eq!(open(folder.path()).head(), 2);
    assert_eq!(verdicts(folder.path()), [Some(2); 3]);
}

#[test]
fn an_index_that_does_not_fit_is_made_again_from_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    for n in 0..10 {
        ledger.commit_blocking(accept(&format!("p{n}"), 1, &format!("body {n}"), &["a"])).unwrap();
    }
    drop(ledger);
    let path = folder.path().join("index/000000000001.ends");
    let whole = fs::read(&path).unwrap();
    let holes: [&[u8]; 3] = [&[0; 8], &[0xff; 8], &[7, 0, 0, 0, 0, 0, 0, 0]];
    for (hole, at) in holes.iter().flat_map(|hole| (0..whole.len() - 8).step_by(8).map(move |at| (hole, at))) {
        let mut holed = whole.clone();
        holed[at..at + 8].copy_from_slice(hole);
        fs::write(&path, holed).unwrap();
        let ledger = open(folder.path());
        for n in 0..10 {
            assert_eq!(
                ledger.history(&name("appointment"), &id(&format!("p{n}"))).unwrap().len(),
                1,
                "{hole:?} at {at}"
            );
        }
        drop(ledger);
        assert_eq!(fs::read(&path).unwrap(), whole, "{hole:?} at {at}");
    }
    fs::write(&path, &whole[..20]).unwrap();
    assert_eq!(open(folder.path()).entries(1, 100).unwrap().len(), 10);
}

#[test]
fn what_was_to_be_erased_goes_at_the_next_start_and_may_come_again() {
    for body in ["a secret".to_owned(), "a long secret ".repeat(6000)] {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(folder.path());
        let hash = Hash::of(body.as_bytes());
        ledger.commit_blocking(accept("p1", 1, &body, &["a"])).unwrap();
        let kept = fs::read(bodies(folder.path())).ok();
        let large = ledger.body_file(&hash);
        let erased = Draft::new(Fact::Erased { reason: "asked for".into() }, "dpo", "A body was erased.").body(hash);
        ledger.commit_blocking(Proposal::of(erased)).unwrap();
        drop(ledger);
        // As if the process had ended between the entry and the erasing.
        match (&large, kept) {
            (Some(path), _) => {
                fs::remove_file(path.with_extension("erased")).unwrap();
                fs::write(path, &body).unwrap();
            }
            (None, kept) => fs::write(bodies(folder.path()), kept.unwrap()).unwrap(),
        }
        let ledger = open(folder.path());
        assert_eq!(ledger.body(&hash).unwrap(), None, "gone after the start");
        // The same content sent later is stored again.
        ledger.commit_blocking(accept("p2", 1, &body, &["a"])).unwrap();
        assert_eq!(ledger.body(&hash).unwrap().unwrap(), body.as_bytes());
        let before = folds(&ledger);
        drop(ledger);
        let _ = fs::remove_dir_all(folder.path().join("folds"));
        let _ = fs::remove_file(folder.path().join("checkpoint.json"));
        let ledger = open(folder.path());
        assert_eq!(ledger.body(&hash).unwrap().unwrap(), body.as_bytes(), "also after a replay");
        assert_eq!(folds(&ledger), before);
    }
}

#[test]
fn a_ledger_at_work_is_copied_whole_and_the_copy_starts() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..2000 {
                std::thread::sleep(std::time::Duration::from_millis(1));
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let body = if n % 7 == 0 { "y".repeat(70_000 + n) } else { format!("body {n}") };
                ledger.commit_blocking(accept(&format!("p{n}"), 1, &body, &["a"])).unwrap();
            }
        });
        for round in 0..4 {
            std::thread::sleep(std::time::Duration::from_millis(60));
            let confirmed = ledger.head();
            let copy = tempfile::tempdir().unwrap();
            let copied = backup(folder.path(), &copy.path().join("copy")).unwrap();
            assert!(copied.entries >= confirmed, "round {round}: what was confirmed is in it");
            let again = backup(folder.path(), &copy.path().join("copy"));
            assert!(matches!(again, Err(LedgerError::Io { .. })), "nothing is overwritten");
            assert_eq!(verified_entries(&copy.path().join("copy")), Some(copied.entries));
            let restored = open(&copy.path().join("copy"));
            for seq in 1..=copied.entries {
                let body = restored.entry(seq).unwrap().unwrap().draft.body.unwrap();
                assert!(restored.body(&body).unwrap().is_some(), "entry {seq}");
            }
        }
        stop.store(true, Ordering::SeqCst);
    });
    assert!(matches!(backup(&folder.path().join("nowhere"), &folder.path().join("x")), Err(LedgerError::Io { .. })));
}

#[test]
fn a_start_on_a_full_disk_says_that_and_not_that_the_index_is_in_doubt() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let disk = Arc::new(BadDisk::default());
    disk.full.store(true, Ordering::SeqCst);
    let refused = Ledger::open(folder.path(), options(clock(), disk).0);
    assert!(matches!(refused, Err(LedgerError::DiskFull { .. })), "{refused:?}");
}

/// Found by the simulation: a killed process left a body without its entry; the next one indexed it, wrote a checkpoint behind
/// it, and found no need to write it again when it came again. Folds that lag behind all that, and yet know the checkpoint's entry,
/// did not have it.
#[test]
fn a_body_left_without_an_entry_is_found_by_folds_that_lag() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let folds = MemoryFolds::default();
    let open = |folds: &MemoryFolds| {
        let options = options(clock(), Arc::new(Disk)).0;
        Ledger::open(at, Options { folds: Folds::Memory(folds.clone()), ..options }).unwrap()
    };
    let accept_one = |folds: &MemoryFolds, n: u64| {
        let ledger = open(folds);
        ledger.commit_blocking(accept(&format!("p{n}"), 1, &format!("body {n}"), &["a"])).unwrap();
    };
    accept_one(&folds, 1);
    let (lagging, lines) = (folds.copy(), fs::read(log(at)).unwrap());
    let named = fs::read(at.join("checkpoint.json")).unwrap();
    accept_one(&folds, 2);
    // Killed after its body was written and before its line was.
    fs::write(log(at), &lines).unwrap();
    fs::write(at.join("checkpoint.json"), named).unwrap();
    fs::remove_dir_all(at.join("index")).unwrap();
    let folds = lagging.copy();
    drop(open(&folds));
    let checkpoint = fs::read(at.join("checkpoint.json")).unwrap();
    accept_one(&folds, 2);
    // Killed again, before a further checkpoint; the folds are as they were at the first death.
    fs::write(at.join("checkpoint.json"), checkpoint).unwrap();
    let ledger = open(&lagging);
    assert_eq!(ledger.head(), 2);
    let body = ledger.object(&name("appointment"), &id("p2")).unwrap().unwrap().body.unwrap();
    assert!(ledger.body(&body).unwrap().is_some());
}
