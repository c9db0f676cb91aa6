//! How long Liaison takes to start with R4 and US Core 6.1.0, and how much memory: the release binary as a child process,
//! cold. `liaison validate` of one Patient with the package's archive, and with the package installed (compiled, on disk);
//! `liaison serve` to its first line, and to its first `$validate`. Wall time, several runs, the middle one.
//! `cargo bench --bench start`.

mod support;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use support::{Table, fixtures, median, memory_kib, only_checked, shared};

const LIAISON: &str = env!("CARGO_BIN_EXE_liaison");
const RUNS: usize = 9;

fn main() {
    if only_checked() {
        return;
    }
    let Some(archive) = shared("packages/hl7.fhir.us.core-6.1.0.tgz") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let patient = folder.path().join("patient.json");
    fs::write(&patient, fixtures::patient().to_string()).expect("written");
    let mut table = Table::new("start with R4 + US Core 6.1.0 (release binary, a process of its own)");
    let archive = archive.to_string_lossy().into_owned();
    validating(&mut table, "validate a Patient, package's .tgz, nothing cached", folder.path(), &archive);
    let installed = Command::new(LIAISON)
        .args(["profiles", "install", &archive])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !installed.is_ok_and(|status| status.success()) {
        println!("!!! NOT MEASURED: the package could not be installed");
    } else {
        let named = "hl7.fhir.us.core#6.1.0";
        validating(&mut table, "validate a Patient, package installed", folder.path(), named);
        serving(&mut table, folder.path(), named);
    }
    table.finish();
}

/// The whole life of `liaison validate`, memory at its highest.
fn validating(table: &mut Table, what: &str, folder: &Path, package: &str) {
    let (mut seconds, mut most, mut spent) = (Vec::new(), 0, Vec::new());
    for _ in 0..RUNS {
        let start = Instant::now();
        let mut child = Command::new(LIAISON)
            .args(["validate", "--package", package, "patient.json"])
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let mut processor = 0.0;
        let status = loop {
            processor = processor_s(&child).max(processor);
            most = most.max(memory_kib(&child.id().to_string(), "VmHWM"));
            match child.try_wait().expect("waits") {
                Some(status) => break status,
                None => std::thread::sleep(Duration::from_micros(500)),
            }
        };
        seconds.push(start.elapsed().as_secs_f64());
        spent.push(processor);
        assert!(status.success(), "the Patient is valid");
    }
    told(table, what, &mut seconds, &mut spent, most);
}

/// Seconds that the process has had of the processors so far, in steps of 10 ms.
fn processor_s(child: &Child) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    after.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn told(table: &mut Table, what: &str, seconds: &mut [f64], spent: &mut [f64], most_kib: u64) {
    let middle = median(seconds);
    table.most(what, middle, "s", Some(2.0), Some(0.3));
    let processor = median(spent);
    table.note(&format!(
        "the quickest of {RUNS} took {:.3} s; {processor:.2} s of a processor in the middle one",
        seconds[0]
    ));
    table.most("  memory at its highest", most_kib as f64 / 1024.0, "MiB", Some(400.0), Some(120.0));
}

/// `liaison serve`: to `listening`, and to the answer of the first `$validate`.
fn serving(table: &mut Table, folder: &Path, package: &str) {
    let (mut listening, mut answered, mut most) = (Vec::new(), Vec::new(), 0);
    let (mut to_listening, mut to_answer) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let ledger = tempfile::tempdir().expect("a temporary folder");
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[ledger]\npath = {:?}\n[profiles]\npackages = [\"{package}\"]\n",
            ledger.path().join("ledger")
        );
        fs::write(folder.join("liaison.toml"), text).expect("written");
        let start = Instant::now();
        let mut child = Command::new(LIAISON)
            .args(["serve", "--config", "liaison.toml"])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let address = first_line(&mut child);
        listening.push(start.elapsed().as_secs_f64());
        to_listening.push(processor_s(&child));
        let answer = address.as_deref().map(validate_over_http).unwrap_or_default();
        answered.push(start.elapsed().as_secs_f64());
        to_answer.push(processor_s(&child));
        most = most.max(memory_kib(&child.id().to_string(), "VmHWM"));
        let _ = child.kill();
        let _ = child.wait();
        if !answer.starts_with("HTTP/1.1 200") {
            println!(
                "!!! NOT MEASURED: serve did not answer $validate: {}",
                answer.lines().next().unwrap_or("nothing")
            );
            return;
        }
    }
    told(table, "serve, to its first line", &mut listening, &mut to_listening, most);
    told(table, "serve, to the answer of the first $validate", &mut answered, &mut to_answer, most);
}

/// The address in the first line of stdout.
fn first_line(child: &mut Child) -> Option<String> {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut()?).read_line(&mut line).ok()?;
    Some(line.trim().strip_prefix("listening http://")?.to_owned())
}

fn validate_over_http(address: &str) -> String {
    let body = fixtures::patient().to_string();
    let asked = format!(
        "POST /fhir/Patient/$validate HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/fhir+json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut answer = String::new();
    if let Ok(mut stream) = TcpStream::connect(address) {
        let _ = stream.write_all(asked.as_bytes());
        let _ = stream.read_to_string(&mut answer);
    }
    answer
}
