//! What a push costs (PROMISES P4 to P7), as ratios within one run, A and B interleaved, over real sockets and a real disk:
//! the whole gateway against a bare axum that parses and syncs in groups; one client's ack against one fdatasync; draining
//! a backlog to a sandbox against a bare reqwest loop. `cargo bench --bench push`; sizes by `PUSHES` (each side), `BACKLOG`
//! (10000 is the promise's), `CLIENTS`; the ledger's disk by `BENCH_DIR`.

mod support;

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use futures_util::StreamExt as _;
use liaison::{
    app::{config::Config, gateway},
    clock::SystemClock,
    definitions::Definitions,
    domain::{ObjectName, SystemName},
    ledger::{self, Ledger},
    mapping::Mappings,
    profile::Validator,
    sandbox,
    sync::{Accept, Engine, Key, Setup, SystemConfig},
};
use serde_json::{Value, json};
use support::{Table, median, process_s, size, wire::Wire};
use tokio::{runtime::Runtime, sync::oneshot};

const ROUNDS: usize = 6;
const BACKLOG_ROUNDS: usize = 4;

fn main() {
    if support::only_checked() {
        return;
    }
    rustls::crypto::ring::default_provider().install_default().expect("once");
    let (clients, pushes, backlog) = (size("CLIENTS", 64), size("PUSHES", 12_000), size("BACKLOG", 2_000));
    let within = std::env::var("BENCH_DIR").unwrap_or_else(|_| "/tmp".to_owned());
    let folder = tempfile::tempdir_in(within).expect("a folder");
    let server = runtime(2);
    let mut table = Table::new("PROMISES P4 to P7");
    accepting(&server, folder.path(), clients, pushes, &mut table);
    draining(&server, folder.path(), backlog, &mut table);
    table.finish();
    server.shutdown_background();
}

fn runtime(threads: usize) -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().expect("a runtime")
}

/// An ordinary appointment: the worked example, with a patient whom the EHR knows by a number.
fn appointment(id: &str) -> Value {
    const EXAMPLE: &str = include_str!("../mappings/appointment/examples/booked-check-up.internal.json");
    let mut body: Value = serde_json::from_str(EXAMPLE).expect("JSON");
    body["id"] = json!(id);
    body["identifiers"][0]["value"] = json!(format!("V-{id}"));
    let number = json!({"system": "http://hospital.example/mrn", "value": "1032702"});
    body["participants"][0]["who"] = json!({"object": "patient", "identifier": number, "display": "Ada Example"});
    body["participants"].as_array_mut().expect("a list").truncate(1);
    body.as_object_mut().expect("an object").shift_remove("slots");
    body
}

/// The same, of a patient who is known here.
fn of_p1(id: &str) -> Value {
    let mut body = appointment(id);
    body["participants"][0]["who"] = json!({"object": "patient", "id": "p1", "display": "Ada Example"});
    body
}

fn system(base_url: &str) -> SystemConfig {
    let mut system = SystemConfig::new(SystemName::new("ehr").expect("a name"), base_url);
    system.push = ["patient", "appointment"].map(|object| ObjectName::new(object).expect("a name")).to_vec();
    system.max_backlog = 10_000_000;
    system
}

fn config(folder: &Path, base_url: &str) -> Config {
    let mut config = Config::default();
    config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.server.instance = "bench".to_owned();
    config.ledger.path = folder.to_owned();
    config.systems = vec![system(base_url)];
    config
}

/// P4, P5, P6. The EHR is out of reach, so that only taking on is measured.
fn accepting(server: &Runtime, folder: &Path, clients: usize, pushes: usize, table: &mut Table) {
    let nowhere = config(&folder.join("accepting"), "http://127.0.0.1:9/fhir");
    let gateway = server.block_on(gateway::start(nowhere, Arc::new(SystemClock))).expect("a gateway");
    let bare = server.block_on(bare(&folder.join("bare.log")));
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // Until the gateway has noticed that nobody is there.
    client.block_on(load(gateway.address, "first", clients, 200));
    std::thread::sleep(Duration::from_secs(2));

    let (mut rates, mut processor, mut per_push) = (Vec::new(), Vec::new(), Vec::new());
    let (mut ours_all, mut bare_all) = (Vec::new(), Vec::new());
    let timed = |address, prefix: &str, each: usize| {
        let before = process_s();
        let seconds = client.block_on(load(address, prefix, clients, each));
        (each as f64 / seconds, (process_s() - before) / each as f64 * 1e6)
    };
    for round in 0..ROUNDS {
        let each = pushes / ROUNDS;
        let syncs = gateway.ledger.syncs_done();
        let (ours, ours_us) = timed(gateway.address, &format!("a{round}"), each);
        per_push.push((gateway.ledger.syncs_done() - syncs) as f64 / each as f64);
        let (bare, bare_us) = timed(bare, &format!("b{round}"), each);
        rates.push(ours / bare);
        processor.push(ours_us / bare_us);
        ours_all.push(ours);
        bare_all.push(bare);
        table.note(&format!(
            "{clients} clients: {ours:.0} pushes/s, {ours_us:.0} us of processors each; bare axum {bare:.0}/s, {bare_us:.0} us"
        ));
    }
    table.least(
        "P4 accepted pushes/s / axum, parse, group-committed fsync",
        median(&mut rates),
        "x",
        Some(0.5),
        Some(0.8),
    );
    table.most("   the same in processor time, client included", median(&mut processor), "x", None, None);

    let probe = fs::File::create(folder.join("probe")).expect("a file");
    let (mut disk, mut ack) = (Vec::new(), Vec::new());
    client.block_on(async {
        let mut wire = Wire::open(gateway.address).await;
        for at in 0..500_u64 {
            let begin = Instant::now();
            probe.write_all_at(&[7; 700], at * 700).expect("written");
            probe.sync_data().expect("synced");
            disk.push(begin.elapsed().as_secs_f64() * 1e6);
            let (id, body) = (format!("one-{at}"), appointment(&format!("one-{at}")).to_string());
            let begin = Instant::now();
            let (status, _) = wire.post("/api/v1/appointments", &id, body.as_bytes()).await;
            ack.push(begin.elapsed().as_secs_f64() * 1e6);
            assert_eq!(status, 202);
        }
    });
    let (ack, disk) = (median(&mut ack), median(&mut disk));
    table.note(&format!("ack p50 {ack:.0} us, fdatasync p50 {disk:.0} us"));
    table.most("P5 one client's ack p50 / one fdatasync p50", ack / disk, "x", Some(2.0), Some(1.3));
    let what = format!("P6 fsync calls per accepted push at {clients} clients");
    table.most(&what, median(&mut per_push), "", Some(1.0 / 8.0), Some(1.0 / 32.0));
    server.block_on(gateway.stop());
}

/// `count` appointments from `clients` connections; seconds.
async fn load(address: SocketAddr, prefix: &str, clients: usize, count: usize) -> f64 {
    let mut wires = Vec::new();
    for client in 0..clients {
        let bodies: Vec<(String, String)> = (client..count)
            .step_by(clients)
            .map(|at| (format!("{prefix}-{at}"), appointment(&format!("{prefix}-{at}")).to_string()))
            .collect();
        wires.push((Wire::open(address).await, bodies));
    }
    let begin = Instant::now();
    let work = wires.into_iter().map(|(mut wire, bodies)| async move {
        for (id, body) in bodies {
            let (status, said) = wire.post("/api/v1/appointments", &id, body.as_bytes()).await;
            assert_eq!(status, 202, "{}", String::from_utf8_lossy(said));
        }
    });
    futures_util::future::join_all(work).await;
    begin.elapsed().as_secs_f64()
}

/// What must be synced, and who waits for it.
type Line = (Bytes, oneshot::Sender<()>);

/// axum, one parse, one file, groups as they come.
async fn bare(path: &Path) -> SocketAddr {
    let file = fs::File::create(path).expect("a file");
    let (sender, inbox) = mpsc::channel::<Line>();
    std::thread::spawn(move || {
        let mut at = 0;
        while let Ok(first) = inbox.recv() {
            let group: Vec<Line> = std::iter::once(first).chain(inbox.try_iter().take(511)).collect();
            let bytes: Vec<u8> = group.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect();
            file.write_all_at(&bytes, at).expect("written");
            file.sync_data().expect("synced");
            at += bytes.len() as u64;
            for (_, waiting) in group {
                let _ = waiting.send(());
            }
        }
    });
    async fn take(State(sender): State<mpsc::Sender<Line>>, body: Bytes) -> (StatusCode, String) {
        let Ok(Value::Object(object)) = serde_json::from_slice::<Value>(&body) else {
            return (StatusCode::BAD_REQUEST, String::new());
        };
        let (done, waiting) = oneshot::channel();
        sender.send((body, done)).expect("the writer lives");
        waiting.await.expect("written");
        (StatusCode::ACCEPTED, json!({"id": object.get("id")}).to_string())
    }
    let router = Router::new().route("/api/v1/appointments", post(take)).with_state(sender);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// P7. The backlog is taken on while no worker runs; then they start.
fn draining(server: &Runtime, folder: &Path, backlog: usize, table: &mut Table) {
    let ehr = server.block_on(sandbox::spawn(sandbox::Options::practice())).expect("a sandbox");
    let system = system(&ehr.url);
    let concurrency = system.max_concurrency;
    let clock = Arc::new(SystemClock);
    let ledger = Ledger::open(&folder.join("draining"), ledger::Options::new(clock.clone())).expect("a ledger");
    let engine = Engine::new(Setup {
        instance: "bench".to_owned(),
        systems: vec![system],
        ledger: ledger.clone(),
        mappings: Mappings::embedded().expect("mappings"),
        validator: Arc::new(Validator::new(Definitions::core())),
        clock,
    })
    .expect("an engine");
    let patient = json!({"id": "p1", "names": [{"family": "Example", "given": ["Ada"]}], "birth_date": "1980-02-29"});
    server.block_on(accept(&engine, "patient", patient));
    drain(server, &engine, &ledger);
    let there = || ehr.truth().iter().filter(|version| version.kind == "Appointment").count();
    let client = runtime(1);
    let (mut rates, mut processor) = (Vec::new(), Vec::new());
    for round in 0..BACKLOG_ROUNDS {
        let each = backlog / BACKLOG_ROUNDS;
        server.block_on(async {
            let accepts = (0..each).map(|at| accept(&engine, "appointment", of_p1(&format!("d{round}-{at}"))));
            futures_util::stream::iter(accepts).buffer_unordered(64).collect::<Vec<()>>().await;
        });
        let (before, processor_before) = (there(), process_s());
        let ours = each as f64 / drain(server, &engine, &ledger);
        let ours_us = (process_s() - processor_before) / each as f64 * 1e6;
        assert_eq!(there() - before, each, "each arrives once");
        let sample = ehr.truth().last().and_then(|version| version.resource.clone()).expect("a body");
        let processor_before = process_s();
        let bare = each as f64 / client.block_on(post_all(&ehr.url, &sample, round, concurrency, each));
        let bare_us = (process_s() - processor_before) / each as f64 * 1e6;
        rates.push(ours / bare);
        processor.push(ours_us / bare_us);
        table.note(&format!(
            "{each} at {concurrency} a time: {ours:.0}/s, {ours_us:.0} us of processors each, EHR included; bare {bare:.0}/s, {bare_us:.0} us"
        ));
    }
    table.least("P7 draining a backlog / a bare reqwest loop", median(&mut rates), "x", Some(0.7), Some(0.95));
    table.most("   the same in processor time, the EHR's included", median(&mut processor), "x", None, None);
}

async fn accept(engine: &Engine, object: &str, body: Value) {
    let key = Key { scope: object.to_owned(), key: body["id"].to_string() };
    let object = ObjectName::new(object).expect("a name");
    engine.accept(Accept { object, body, key, by: "bench".to_owned(), lenient: false }).await.expect("taken on");
}

/// Runs the workers until nothing waits; seconds.
fn drain(server: &Runtime, engine: &Engine, ledger: &Ledger) -> f64 {
    let (stop, stopped) = oneshot::channel::<()>();
    let begin = Instant::now();
    let workers = server.spawn({
        let engine = engine.clone();
        async move { engine.run(async { drop(stopped.await) }).await }
    });
    let waits = || {
        let counts = ledger.counts().expect("readable");
        counts.iter().any(|((_, state), count)| state.is_pending() && *count > 0)
    };
    while waits() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let seconds = begin.elapsed().as_secs_f64();
    drop(stop);
    server.block_on(workers).expect("they end");
    seconds
}

/// The same resources by a bare loop: no record, no conditions.
async fn post_all(base: &str, sample: &Value, round: usize, concurrency: usize, count: usize) -> f64 {
    let client = reqwest::Client::new();
    let url = format!("{base}/Appointment");
    let mut sample = sample.clone();
    let members = sample.as_object_mut().expect("a resource");
    members.shift_remove("id");
    members.shift_remove("meta");
    let begin = Instant::now();
    let work = (0..concurrency).map(|lane| {
        let (client, url, mut body) = (client.clone(), url.clone(), sample.clone());
        async move {
            for at in (lane..count).step_by(concurrency) {
                body["identifier"][0]["value"] = json!(format!("bare-{round}-{at}"));
                let request = client.post(&url).header("content-type", "application/fhir+json").body(body.to_string());
                let answer = request.send().await.expect("an answer");
                assert_eq!(answer.status(), 201);
                let text = answer.bytes().await.expect("a body");
                assert!(serde_json::from_slice::<Value>(&text).is_ok());
            }
        }
    });
    futures_util::future::join_all(work).await;
    begin.elapsed().as_secs_f64()
}
