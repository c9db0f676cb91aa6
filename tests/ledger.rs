//! `liaison ledger` by the real binary: exit codes, what stands on stdout, and that looking changes nothing.

use std::{fs, path::Path, sync::Arc};

use liaison::{
    clock::SystemClock,
    domain::{ObjectId, ObjectName},
    ledger::{Draft, Fact, Hash, Ledger, Operation, Options, Proposal},
};
use serde_json::{Value, json};

use crate::support::{Said, run};

fn fill(folder: &Path) -> Ledger {
    let ledger = Ledger::open(folder, Options::new(Arc::new(SystemClock))).expect("a ledger");
    for n in 1..=3 {
        let body = format!("{{\"id\":\"p{n}\",\"n\":1.10}}");
        let content = Hash::of(body.as_bytes());
        let fact = Fact::Accepted { operation: Operation::Created, content, targets: Vec::new(), sent: None };
        let (object, id) =
            (ObjectName::new("patient").expect("a name"), ObjectId::new(&format!("p{n}")).expect("an id"));
        let draft = Draft::new(fact, "test", "Patient: taken on.").about(&object, &id, 1).body(content);
        ledger.commit_blocking(Proposal::of(draft).body(body)).expect("committed");
    }
    ledger
}

fn ledger(command: &[&str], folder: &Path) -> Said {
    let folder = folder.display().to_string();
    run(&[&["ledger"], command, &["--ledger", folder.as_str()]].concat())
}

fn lines(said: &Said) -> Vec<Value> {
    said.out.lines().map(|line| serde_json::from_str(line).expect("NDJSON")).collect()
}

fn shape(folder: &Path) -> Vec<(String, u64)> {
    let mut files: Vec<_> = ["log", "bodies"]
        .iter()
        .flat_map(|part| fs::read_dir(folder.join(part)).expect("a folder"))
        .map(|file| file.expect("a file"))
        .map(|file| (file.path().display().to_string(), file.metadata().expect("a size").len()))
        .collect();
    files.sort();
    files
}

#[test]
fn verify_says_ok_or_names_the_entry() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(fill(folder.path()));
    let before = shape(folder.path());
    let good = ledger(&["verify"], folder.path());
    let answer = lines(&good).remove(0);
    assert_eq!((good.code, &answer["ok"], &answer["entries"]), (0, &json!(true), &json!(3)), "{good:?}");
    assert_eq!(answer["first_bad_seq"], Value::Null);
    let history = lines(&ledger(&["export"], folder.path()));
    assert_eq!(answer["head"], history[2]["hash"]);
    assert_eq!(shape(folder.path()), before, "looking changes nothing");

    let path = folder.path().join("log/000000000001.ndjson");
    let text = fs::read_to_string(&path).expect("the log");
    fs::write(&path, text.replacen("\"object_id\":\"p2\"", "\"object_id\":\"p7\"", 1)).expect("spoilt");
    let bad = ledger(&["verify"], folder.path());
    let answer = lines(&bad).remove(0);
    assert_eq!((bad.code, &answer["ok"], &answer["first_bad_seq"]), (1, &json!(false), &json!(2)), "{bad:?}");
    assert!(bad.err.contains("entry 2") && bad.err.contains("byte"), "{}", bad.err);
    assert_eq!(ledger(&["export"], folder.path()).code, 1);
    assert_eq!(ledger(&["rebuild"], folder.path()).code, 2, "what cannot be trusted is not built upon");
}

#[test]
fn export_and_show_tell_what_happened() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(fill(folder.path()));
    let plain = ledger(&["export"], folder.path());
    assert_eq!((plain.code, lines(&plain).len()), (0, 3));
    assert!(!plain.out.contains("1.10"), "bodies only on demand");
    let full = ledger(&["export", "--bodies"], folder.path());
    assert_eq!(lines(&full).len(), 6);
    assert!(full.out.contains(r#""json":{"id":"p1","n":1.10}"#), "{}", full.out);
    let one = ledger(&["show", "2"], folder.path());
    assert_eq!((one.code, &lines(&one)[0]["object_id"]), (0, &json!("p2")));
    let object = ledger(&["show", "p3"], folder.path());
    assert_eq!((object.code, &lines(&object)[0]["seq"]), (0, &json!(3)));
    let none = ledger(&["show", "nobody"], folder.path());
    assert_eq!((none.code, none.out.as_str()), (1, ""));
}

#[test]
fn what_cannot_run_exits_with_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("none");
    for command in ["verify", "export", "rebuild"] {
        let said = ledger(&[command], &missing);
        assert_eq!(said.code, 2, "{command}: {said:?}");
        assert!(said.err.contains("--ledger"), "the remedy: {}", said.err);
    }
    assert!(!missing.exists(), "nothing is made by looking");
    let open = fill(folder.path());
    assert_eq!(ledger(&["verify"], folder.path()).code, 0, "verify may run beside a gateway");
    let used = ledger(&["rebuild"], folder.path());
    assert_eq!(used.code, 2);
    assert!(used.err.contains("in use") && used.err.contains("LIA-LDG-001"), "{}", used.err);
    drop(open);
    let done = ledger(&["rebuild"], folder.path());
    assert_eq!((done.code, lines(&done)), (0, vec![json!({"ok": true, "entries": 3})]));
    assert_eq!(run(&["ledger", "frobnicate"]).code, 2);
}
