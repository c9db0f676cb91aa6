//! Verify from outside: every flipped byte is named; the shell script agrees; export is the chain itself.

use std::{fs, process::Command};

use super::*;

fn small(folder: &Path) -> u64 {
    let ledger = open(folder);
    for n in 0..3 {
        ledger.commit_blocking(accept(&format!("p{n}"), 1, &format!("body {n}"), &["a"])).unwrap();
    }
    ledger.commit_blocking(about(&ledger, &sync_of("p0", "a"), attempted(1))).unwrap();
    ledger.commit_blocking(accept("big", 1, &"x".repeat(70_000), &["a"])).unwrap();
    ledger.commit_blocking(about(&ledger, &sync_of("p0", "a"), Fact::Deferred { delay_ms: 1 })).unwrap();
    ledger.head()
}

fn verify(folder: &Path) -> Verified {
    Audit::of(folder).unwrap().verify().unwrap()
}

fn script(folder: &Path) -> (bool, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/verify-ledger.sh");
    let done = Command::new("sh").arg(script).arg(folder).output().unwrap();
    (done.status.success(), String::from_utf8(done.stdout).unwrap())
}

#[test]
fn every_flipped_byte_of_the_log_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let entries = small(folder.path());
    let found = verify(folder.path());
    assert!(found.is_ok() && found.entries == entries && found.unconfirmed == 0);
    let path = folder.path().join("log/000000000001.ndjson");
    let whole = fs::read(&path).unwrap();
    let mut bad = whole.clone();
    for at in 0..whole.len() {
        let entry = whole[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        // Each byte to its neighbour; some also to NUL and to a line's end, which look like a torn tail.
        let others = [whole[at], whole[at] ^ b'\n']
            .into_iter()
            .filter(|flip| *flip != 0 && (at % 7 == 0 || at + 9 > whole.len()));
        for flip in [1].into_iter().chain(others) {
            bad[at] = whole[at] ^ flip;
            fs::write(&path, &bad).unwrap();
            let found = verify(folder.path());
            assert_eq!(found.first_bad_seq, Some(entry), "byte {at} ^ {flip}");
            assert_eq!(found.entries, entry - 1);
        }
        bad[at] = whole[at];
    }
}

#[test]
fn every_flipped_byte_of_the_bodies_is_named() {
    let folder = tempfile::tempdir().unwrap();
    small(folder.path());
    let path = folder.path().join("bodies/00000001.bodies");
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bad = whole.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        let found = verify(folder.path());
        let first = (1..=3).contains(&found.first_bad_seq.unwrap_or(0));
        assert!(first, "byte {at}: {found:?}");
    }
    fs::write(&path, &whole).unwrap();
    let hash = Hash::of("x".repeat(70_000).as_bytes()).hex();
    let large = folder.path().join("bodies/files").join(&hash[..2]).join(&hash);
    let mut bytes = fs::read(&large).unwrap();
    bytes[40_000] ^= 1;
    fs::write(&large, bytes).unwrap();
    assert_eq!(verify(folder.path()).first_bad_seq, Some(5));
}

#[test]
fn what_a_crash_leaves_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let entries = small(folder.path());
    let path = folder.path().join("log/000000000001.ndjson");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    // A crash leaves no checkpoint of its last entries.
    fs::remove_file(folder.path().join("checkpoint.json")).unwrap();
    let found = verify(folder.path());
    assert!(found.is_ok() && found.entries == entries - 1 && found.unconfirmed > 5, "{found:?}");
    assert_eq!(open(folder.path()).head(), entries - 1);
    assert_eq!(verify(folder.path()).unconfirmed, 0);
}

#[test]
fn sha256sum_alone_comes_to_the_same_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let entries = small(folder.path());
    let head = verify(folder.path()).head.unwrap().hex();
    assert_eq!(script(folder.path()), (true, format!("{entries} entries, head {head}\n")));
    let path = folder.path().join("log/000000000001.ndjson");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"p1\"", "\"p9\"", 1)).unwrap();
    assert_eq!(script(folder.path()), (false, "entry 2 is not what was written\n".to_owned()));
    let without: String = text.lines().enumerate().filter(|(at, _)| *at != 2).map(|(_, l)| format!("{l}\n")).collect();
    fs::write(&path, without).unwrap();
    assert!(!script(folder.path()).0);
}

#[test]
fn export_is_the_log_and_bodies_come_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    small(folder.path());
    let lines = |bodies: bool| {
        let mut lines = String::new();
        let mut take = |line: &str| {
            lines.push_str(line);
            lines.push('\n');
            Ok(())
        };
        Audit::of(folder.path()).unwrap().lines(bodies, |_| true, &mut take).unwrap();
        lines
    };
    let log = fs::read_to_string(folder.path().join("log/000000000001.ndjson")).unwrap();
    assert_eq!(lines(false), log);
    assert!(!log.contains("body 1") && lines(true).contains(r#""text":"body 1""#));
}

#[test]
fn a_rebuild_gives_the_same_folds() {
    let folder = tempfile::tempdir().unwrap();
    let entries = small(folder.path());
    let ledger = open(folder.path());
    assert!(matches!(rebuild(folder.path()), Err(LedgerError::InUse(_))));
    let before = folds(&ledger);
    drop(ledger);
    assert_eq!(rebuild(folder.path()).unwrap(), entries);
    assert_eq!(folds(&open(folder.path())), before);
}

#[test]
fn verify_beside_a_gateway_at_work_finds_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 0..300 {
                ledger.commit_blocking(accept(&format!("p{n}"), 1, &format!("body {n}"), &["a"])).unwrap();
            }
        });
        let mut last = 0;
        while !writer.is_finished() {
            let found = verify(folder.path());
            assert!(found.is_ok() && found.entries >= last, "{found:?}");
            last = found.entries;
        }
    });
    assert_eq!(verify(folder.path()).entries, 300);
}

#[test]
fn folds_of_another_shape_are_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    small(folder.path());
    let before = folds(&open(folder.path()));
    let db = folder.path().join("folds");
    crate::ledger::sled_store::write_raw(&db, b"o\0appointment\0p1", b"another shape");
    let mark = crate::ledger::sled_store::read_raw(&db, b"@applied");
    crate::ledger::sled_store::write_raw(&db, b"@applied", &[&[mark[0] ^ 1], &mark[1..]].concat());
    assert_eq!(folds(&open(folder.path())), before);
}
