//! `liaison demo --once` by the real binary: the counts of CONTRACT, consistent with the data that it was given.

use std::time::Instant;

use serde_json::Value;

use crate::support::{root, run};

fn lines(path: &str) -> usize {
    std::fs::read_to_string(root().join(path)).expect("the demo's data").lines().count()
}

#[test]
fn the_day_arrives_and_nothing_is_lost_doubled_or_overwritten() {
    let started = Instant::now();
    let said = run(&["demo", "--once", "--output", "json"]);
    let told: Value = serde_json::from_str(said.out.trim()).unwrap_or_else(|_| panic!("{}\n{}", said.out, said.err));
    assert_eq!(said.code, 0, "{told}\n{}", said.err);
    let names: Vec<&String> = told.as_object().expect("an object").keys().collect();
    assert_eq!(
        names,
        ["pushed", "synced", "pulled", "refused", "parked", "conflicts", "lost", "doubled", "clobbered", "seconds"]
    );
    let count = |name: &str| told[name].as_u64().unwrap_or_else(|| panic!("{name} of {told}"));
    let day: usize =
        ["practitioner", "location", "patient", "clinic-session", "slot", "appointment", "message", "letter"]
            .iter()
            .map(|object| lines(&format!("examples/demo/day/{object}.ndjson")))
            .sum();
    assert_eq!(count("pushed"), day as u64);
    assert!(day > 300);
    assert_eq!((count("lost"), count("doubled"), count("clobbered")), (0, 0, 0), "{told}");
    // The scenario's own: two impossible appointments, one record the EHR will not take, one change on both sides.
    assert_eq!((count("refused"), count("parked"), count("conflicts")), (2, 1, 1), "{told}");
    // Five changes at the EHR, and a visit that its own staff booked.
    assert_eq!(count("pulled"), 6, "{told}");
    assert_eq!(count("synced"), count("pushed") - count("parked") - count("conflicts"), "{told}");
    let seconds = told["seconds"].as_f64().expect("seconds");
    assert!(seconds > 0.0 && seconds <= started.elapsed().as_secs_f64(), "{told}");
}

#[test]
fn people_are_told_in_words() {
    let said = run(&["demo", "--once"]);
    assert_eq!(said.code, 0, "{}\n{}", said.out, said.err);
    for words in [
        "were handed to the gateway",
        "Arrived at general-hospital",
        "Refused at once",
        "Waiting for a person: 3",
        "slot rahman-1026-4: A time slot is taken twice or was not released",
    ] {
        assert!(said.out.contains(words), "{words}: {}", said.out);
    }
    for fault in
        ["lost the reply: 4 ×", "said \"not now\": 4 ×", "answered with a web page: 1 ×", "index that lags behind: "]
    {
        assert!(said.out.contains(fault), "{fault}: {}", said.out);
    }
    assert!(!said.out.contains("UNEXPECTED"), "{}", said.out);
    assert!(!said.out.contains("LIA-"), "plain words, no codes: {}", said.out);
}

#[test]
fn without_once_it_tells_its_addresses_and_stays_until_told_to_stop() {
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
        time::Duration,
    };

    use crate::support::{block_on, client, liaison, send};

    let folder = tempfile::tempdir().expect("a folder");
    let mut child = liaison()
        .arg("demo")
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut address = |name: &str| {
        let line = lines.find_map(|line| line.ok().filter(|line| line.starts_with(name))).expect("an address");
        line.split_whitespace().find(|word| word.starts_with("http://")).expect("a URL").to_owned()
    };
    let (gateway, ehr) = (address("gateway"), address("sandbox EHR"));
    block_on(async {
        let client = client();
        let live =
            send(&client, "GET", &format!("{gateway}/livez"), &[], &Value::Null).await.expect("it answers at once");
        assert_eq!(live.status, 200);
        let metadata = send(&client, "GET", &format!("{ehr}/metadata"), &[], &Value::Null).await.expect("it answers");
        assert_eq!(metadata.body["fhirVersion"], "4.0.1");
    });
    assert!(child.try_wait().expect("a child").is_none(), "it stays");
    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(told.expect("kill runs").success());
    let started = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        assert!(started.elapsed() < Duration::from_secs(15), "it stops when told to");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left behind");
}
