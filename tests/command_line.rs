//! The command line as people meet it: what is no JSON, what cannot be read, what is mistyped, what is secret, what is kept.

use std::{
    io::{Read, Write},
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Said, Server, block_on, client, liaison, root, run, send};

const PATIENT: &str = r#"{"resourceType":"Patient","id":"a","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"}}"#;

fn lines(said: &Said) -> Vec<Value> {
    said.out.lines().map(|line| serde_json::from_str(line).expect("a line")).collect()
}

fn put(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("written");
    path.to_string_lossy().into_owned()
}

#[test]
fn what_is_no_json_is_named_in_both_forms() {
    let folder = tempfile::tempdir().expect("a folder");
    let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain(PATIENT.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    for (name, bytes, word) in [
        ("x.json", b"<Patient xmlns=\"http://hl7.org/fhir\"/>".as_slice(), "XML"),
        ("h.json", b"<!doctype html><html></html>", "HTML"),
        ("p.json", b"%PDF-1.7\n%\xE2\xE3", "PDF"),
        ("z.json", b"PK\x03\x04\x14\x00", "zip"),
        ("g.json", b"\x1F\x8B\x08\x00", "gzip"),
        ("u.json", &utf16, "UTF-16"),
        ("e.json", b"", "empty"),
        ("e.ndjson", b"", "empty"),
        ("y.json", b"resourceType: Patient\nid: a\n", "YAML"),
        ("c.json", b"id,name\n1,a\n", "CSV"),
        ("m.json", b"MSH|^~\\&|a\rPID|1\r", "HL7 version 2"),
    ] {
        let file = put(folder.path(), name, bytes);
        let text = run(&["validate", &file]);
        assert_eq!(text.code, 1, "{name}: {text:?}");
        assert!(text.out.contains(word) && text.out.contains("help: "), "{name}: {}", text.out);
        let json = run(&["validate", "--output", "json", &file]);
        let [line] = lines(&json).try_into().expect("one line");
        assert_eq!((json.code, &line["valid"], &line["input"]), (1, &json!(false), &json!(file)), "{name}");
        let issue = &line["outcome"]["issue"][0];
        assert!(issue["details"]["text"].as_str().expect("text").contains(word), "{name}: {line}");
        assert!(issue["diagnostics"].as_str().expect("diagnostics").contains("fix: "), "{name}: {line}");
        let other = run(&["translate", "--to", "internal", "--object", "patient", &file]);
        assert!(other.code == 1 && other.err.contains(word), "{name}: {other:?}");
        let package = run(&["validate", "--package", &file, &put(folder.path(), "good.json", PATIENT)]);
        assert_eq!(package.code, 2, "{name}: {package:?}");
    }
    let marked = put(folder.path(), "bom.json", [b"\xEF\xBB\xBF", PATIENT.as_bytes()].concat());
    assert_eq!(run(&["validate", &marked]).code, 0, "a byte order mark is no fault");
}

#[test]
fn one_missing_path_hides_nothing_and_is_exit_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let (good, missing) = (put(folder.path(), "a.json", PATIENT), folder.path().join("b.json"));
    let said = run(&["validate", "--output", "json", &missing.to_string_lossy(), &good]);
    assert_eq!(said.code, 2, "{said:?}");
    assert_eq!(lines(&said)[0]["input"], json!(good));
    assert!(said.err.contains("b.json"), "{said:?}");
}

#[test]
fn a_package_without_definitions_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = put(folder.path(), "a.json", PATIENT);
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).expect("made");
    for package in
        [good.clone(), empty.to_string_lossy().into_owned(), put(folder.path(), "broken.tgz", b"\x1F\x8B\x08 no")]
    {
        let said = run(&["validate", "--package", &package, &good]);
        assert_eq!(said.code, 2, "{package}: {said:?}");
        assert!(said.err.contains("LIA-DEF"), "{said:?}");
    }
}

#[test]
fn a_long_line_costs_text_no_more_than_json() {
    let entry = |n: usize| {
        format!(
            "{{\"fullUrl\":\"http://x.example/Patient/{n}\",\"resource\":{{\"resourceType\":\"Patient\",\"id\":\"{n}\",\"gendr\":\"x\"}}}}"
        )
    };
    let entries: Vec<String> = (0..3000).map(entry).collect();
    let bundle = format!("{{\"resourceType\":\"Bundle\",\"type\":\"collection\",\"entry\":[{}]}}", entries.join(","));
    let folder = tempfile::tempdir().expect("a folder");
    let file = put(folder.path(), "bundle.json", bundle);
    let time = |output: &str| {
        let started = Instant::now();
        let said = run(&["validate", "--output", output, &file]);
        assert_eq!(said.code, 1);
        started.elapsed()
    };
    let (json, text) = (time("json").min(time("json")), time("text").min(time("text")));
    println!("json {json:?}, text {text:?}");
    assert!(text < json * 3 / 2 + Duration::from_millis(300), "json {json:?}, text {text:?}");
}

#[test]
fn ndjson_is_not_held_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("big.ndjson");
    let mut out = std::io::BufWriter::new(std::fs::File::create(&file).expect("made"));
    let padding = "x".repeat(40_000);
    let line = PATIENT.replace(">x<", &format!(">{padding}<"));
    for _ in 0..4000 {
        writeln!(out, "{line}").expect("written");
    }
    drop(out);
    let mut child = liaison()
        .args(["validate", "--output", "json", &file.to_string_lossy()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs");
    let status = format!("/proc/{}/status", child.id());
    let mut stdout = child.stdout.take().expect("piped");
    let (mut read, mut peak, mut bytes) = (0, 0_u64, [0; 1 << 16]);
    loop {
        let got = stdout.read(&mut bytes).expect("read");
        let told = std::fs::read_to_string(&status).unwrap_or_default();
        let most = told
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        peak = peak.max(most.unwrap_or_default());
        read += bytes[..got].iter().filter(|byte| **byte == b'\n').count();
        if got == 0 {
            break;
        }
    }
    assert!(child.wait().expect("ended").success());
    println!("{read} lines of a file of 160 MB, {peak} KiB at most");
    assert_eq!(read, 4000);
    assert!(peak > 0 && peak < 130 << 10, "{peak} KiB");
}

#[test]
fn mistyped_names_are_met_with_the_right_one() {
    let visit = root().join("mappings/appointment/examples/booked-check-up.internal.json");
    let visit = visit.to_string_lossy();
    let patient = "http://hl7.org/fhir/StructureDefinition/Patiant";
    for (arguments, word) in [
        (vec!["translate", "--to", "fhir", "--object", "apointment", &visit], "`appointment`"),
        (vec!["translate", "--to", "fhir", "--object", "appointments", &visit], "`appointment`"),
        (vec!["translate", "--to", "fhir", "--object", "appointment", "--system", "epik", &visit], "`epic`"),
        (vec!["mappings", "explain", "--object", "appointment", "--dialect", "nosuch", &visit], "epic"),
        (vec!["mappings", "explain", "--object", "appointment", "--dialect", "epik", &visit], "`epic`"),
        (vec!["mappings", "coverage", "--dialect", "epik"], "`epic`"),
        (vec!["mappings", "export", "--object", "patiens"], "`patient`"),
        (vec!["mappings", "check", "--object", "patiens"], "`patient`"),
        (vec!["mappings", "check", "--pairs", "0"], "0"),
        (vec!["mappings", "shadow", "--candidate", "mappings", "--limit", "0"], "0"),
        (vec!["validate", "--profile", patient, &visit], "StructureDefinition/Patient?"),
        (vec!["validate", "--profile", "", &visit], "--profile"),
        (vec!["validate", "--package", "", &visit], "--package"),
        (vec!["translate", "--to", "fhir", "--object", "", &visit], "--object"),
        (vec!["validat", &visit], "validate"),
        (vec!["mappings", "chek"], "check"),
        (vec!["validate", "--otput", "json", &visit], "--output"),
        (vec!["ledger", "erase", "--patient", "x"], "not available yet"),
        (vec!["sandbox", "--tenant", "a"], "not available yet"),
    ] {
        let said = run(&arguments);
        assert_eq!(said.code, 2, "{arguments:?}: {said:?}");
        assert!(said.err.contains(word), "{arguments:?}: {word} is missing: {}", said.err);
    }
}

#[test]
fn no_password_of_an_address_is_ever_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = put(folder.path(), "a.json", "{\"id\": \"a\"}");
    let config = put(
        folder.path(),
        "liaison.toml",
        "[[systems]]\nname = \"a\"\nbase_url = \"http://u:hunter2@127.0.0.1:9/fhir\"\nzone = 5\n",
    );
    let url = "http://u:hunter2@127.0.0.1:9/fhir";
    for arguments in [
        vec!["push", "--object", "patient", "--to", url, &good],
        vec!["push", "--object", "patient", "--to", "u:hunter2@127.0.0.1:9", &good],
        vec!["push", "--object", "patient", "--to", "http://u:hunt/er2hunter2@127.0.0.1:9", &good],
        vec!["systems", "probe", url],
        vec!["profiles", "install", "--dir", "nowhere", "--registry", url, "a#1.0.0"],
        vec!["profiles", "install", "--registry", "http://u:hunter2@[", "a#1.0.0"],
        vec!["sandbox", "--listen", "u:hunter2@127.0.0.1:0"],
        vec!["serve", "--config", &config],
        vec!["serve", "--config", url],
        vec!["validate", "--profile", url, &good],
        vec!["validate", url],
        vec!["validate", "--nonsense", url],
        vec![url],
    ] {
        let said = run(&arguments);
        assert_eq!(said.code, 2, "{arguments:?}: {said:?}");
        assert!(!said.err.contains("hunter2") && !said.out.contains("hunter2"), "{arguments:?}: {said:?}");
    }
    let checked = run(&["config", "check", "--config", &config]);
    assert!(checked.code == 1 && !checked.out.contains("hunter2") && !checked.err.contains("hunter2"), "{checked:?}");
    let mut help = liaison();
    help.args(["push", "--help"]).env("LIAISON_URL", url);
    assert!(!String::from_utf8_lossy(&help.output().expect("runs").stdout).contains("hunter2"));
    let mut validate = liaison();
    validate.args(["validate", &good]).env("LIAISON_TERMINOLOGY_SERVER", url);
    let said = validate.output().expect("runs");
    assert!(!String::from_utf8_lossy(&said.stdout).contains("hunter2"));
    assert!(!String::from_utf8_lossy(&said.stderr).contains("hunter2"));
}

#[test]
fn a_push_without_a_gateway_says_so_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = put(folder.path(), "a.json", "{\"id\": \"a\"}");
    let started = Instant::now();
    let said = run(&["push", "--object", "patient", "--to", "http://127.0.0.1:9", &good]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("liaison serve") && started.elapsed() < Duration::from_secs(5), "{said:?}");
}

/// A server that knows nothing, and counts what it is asked.
fn nothing_here() -> (String, Arc<AtomicUsize>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (mut stream, mut bytes) = (stream, [0; 4096]);
            let _ = stream.read(&mut bytes);
            count.fetch_add(1, Ordering::SeqCst);
            let body = "{\"code\":\"LIA-API-001\",\"status\":404}";
            let head = "HTTP/1.1 404 Not Found\r\ncontent-type: application/problem+json\r\nconnection: close";
            let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
    });
    (url, asked)
}

#[test]
fn an_unknown_kind_is_asked_once() {
    let (url, asked) = nothing_here();
    let folder = tempfile::tempdir().expect("a folder");
    let many = put(folder.path(), "a.ndjson", "{\"id\": \"a\"}\n".repeat(20));
    let said = run(&["push", "--object", "patiens", "--to", &url, &many]);
    assert_eq!((said.code, asked.load(Ordering::SeqCst)), (2, 1), "{said:?}");
    assert!(said.err.contains("`patient`") && said.out.is_empty(), "{said:?}");
}

#[test]
fn a_practice_ehr_keeps_what_it_holds_and_stays_at_home() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("ehr").to_string_lossy().into_owned();
    let start = || Server::start(&["sandbox", "--listen", "127.0.0.1:0", "--data", &data]);
    block_on(async {
        let client = client();
        let get = async |server: &Server, path: &str| {
            send(&client, "GET", &format!("{}{path}", server.url), &[], &Value::Null).await.expect("an answer")
        };
        let mut server = start();
        let patient =
            json!({"resourceType": "Patient", "id": "p1", "identifier": [{"system": "urn:mrn", "value": "1"}]});
        for version in 1..=3 {
            let mut patient = patient.clone();
            patient["birthDate"] = json!(format!("198{version}-01-01"));
            let url = format!("{}/fhir/Patient/p1", server.url);
            assert!(send(&client, "PUT", &url, &[], &patient).await.expect("an answer").status < 300);
        }
        let gone = format!("{}/fhir/Patient/p2", server.url);
        let second = json!({"resourceType": "Patient", "id": "p2"});
        assert_eq!(send(&client, "PUT", &gone, &[], &second).await.expect("an answer").status, 201);
        assert!(send(&client, "DELETE", &gone, &[], &Value::Null).await.expect("an answer").status < 300);
        let truth = get(&server, "/_truth").await.text;
        server.kill();
        let mut again = start();
        assert_eq!(get(&again, "/_truth").await.text, truth);
        let read = get(&again, "/fhir/Patient/p1").await;
        assert_eq!(
            (read.body["meta"]["versionId"].as_str(), read.body["birthDate"].as_str()),
            (Some("3"), Some("1983-01-01"))
        );
        assert_eq!(get(&again, "/fhir/Patient?identifier=urn:mrn%7C1").await.body["total"], 1);
        let history = get(&again, "/fhir/Patient/p1/_history").await;
        assert_eq!(history.body["entry"].as_array().map(Vec::len), Some(3), "{}", history.text);
        let gone = gone.replace(&server.url, &again.url);
        assert_eq!(send(&client, "GET", &gone, &[], &Value::Null).await.expect("an answer").status, 410);
        let url = format!("{}/fhir/Patient/p1", again.url);
        let fourth = send(&client, "PUT", &url, &[], &patient).await.expect("an answer");
        assert_eq!(fourth.body["meta"]["versionId"], "4");
        let taken = run(&["sandbox", "--listen", "127.0.0.1:0", "--data", &data]);
        assert!(taken.code == 2 && taken.err.contains("in use"), "{taken:?}");
        assert!(again.terminate(Duration::from_secs(5)).is_some());
    });
    for open in ["0.0.0.0:0", "[::]:0"] {
        let said = run(&["sandbox", "--listen", open]);
        assert!(said.code == 2 && said.err.contains("loopback"), "{said:?}");
    }
}

#[test]
fn a_configuration_is_checked_without_starting_anything() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = run(&["config", "check", "--config", &root().join("examples/liaison.toml").to_string_lossy()]);
    assert!(good.code == 0 && good.out.contains("no faults"), "{good:?}");
    let bad = put(
        folder.path(),
        "bad.toml",
        "[server]\nlisten = \"localhost:9000\"\n[[systems]]\nname = \"a\"\nbase_url = \"https://ehr.example/fhir\"\n\
         push = [\"patients\"]\n[systems.pull]\ntypes = [\"Patiant\"]\npage_size = 0\n",
    );
    let said = run(&["config", "check", "--config", &bad]);
    assert_eq!(said.code, 1, "{said:?}");
    for part in
        ["line 2, column 10", "line 6, column 9", "`patient`", "line 8, column 10", "`Patient`", "line 9", "4 faults"]
    {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    let json = run(&["config", "check", "--output", "json", "--config", &bad]);
    let told = &lines(&json)[0];
    assert_eq!((told["ok"].as_bool(), told["faults"].as_array().map(Vec::len)), (Some(false), Some(4)), "{told}");
    assert_eq!(run(&["config", "check", "--config", "/nowhere.toml"]).code, 2);
    let served = run(&["serve", "--config", &bad]);
    assert!(served.code == 2 && served.err.contains("LIA-CONF-002") && served.err.contains("line 2"), "{served:?}");
}
