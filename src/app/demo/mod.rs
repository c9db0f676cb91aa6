//! `liaison demo`: gateway and sandbox EHR in one process on loopback; an invented day is pushed, things go wrong,
//! people change things on both sides, and the EHR's true history says whether anything was lost, doubled or
//! overwritten. Needs nothing installed and leaves nothing behind.

mod gateway;
mod judge;
mod play;
mod scenario;
mod tell;

use std::{
    io::{IsTerminal, Write},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use super::{config::Config, gateway as whole, serve};
use crate::{
    cli::{CouldNotRun, Exit, Output, Run},
    clock::SystemClock,
    mapping::Mappings,
    sandbox::{self, Running},
};
use gateway::Gateway;
use judge::Truth;
use play::Player;
use tell::Tale;

/// The main job on invented input: gateway, console and practice EHR on this machine, nothing to install.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run the day once on free ports with a temporary ledger, tell the end, and stop.
    #[arg(long)]
    pub once: bool,
    /// How the end is told.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Output,
}

/// Not 8080 and 8090, which are for what comes next: `liaison serve` and `liaison sandbox`.
const GATEWAY: &str = "127.0.0.1:8180";
const EHR: &str = "127.0.0.1:8190";

/// Runs the command.
///
/// # Errors
/// [`CouldNotRun`] where gateway or EHR cannot start.
pub async fn run(args: Args) -> Run {
    let started = Instant::now();
    let folder = Folder::new()?;
    let listen = |wanted: &str| if args.once { "127.0.0.1:0".to_owned() } else { free(wanted) };
    let options = sandbox::Options { listen: listen(EHR), ..sandbox::Options::practice() };
    let ehr = sandbox::spawn(options).await.map_err(|error| CouldNotRun::new(error.to_string(), ""))?;
    let config = configured(&listen(GATEWAY), &folder.0, &ehr)?;
    let instance = config.server.instance.clone();
    let running = whole::start(config, Arc::new(SystemClock)).await?;
    let url = running.url.clone();
    if !args.once {
        let told = addresses(&url, &ehr, &folder.0.join("ledger"));
        match args.output {
            Output::Text => say(&told)?,
            Output::Json => eprint!("{told}"),
        }
    }
    let gateway = Gateway::new(&url, mappings()?)?;
    let tale = tokio::select! {
        tale = day(&gateway, &instance, &ehr, started) => tale?,
        () = serve::stop_signal() => {
            running.stop().await;
            return Ok(Exit::Good);
        }
    };
    match args.output {
        Output::Json => say(&format!("{}\n", tale.json()))?,
        Output::Text => say(&tale.text(&gateway))?,
    }
    let bad = tale.is_bad();
    if !args.once {
        eprintln!("\nGateway and EHR stay at the addresses above. Stop with Ctrl-C; that deletes the ledger.");
        serve::stop_signal().await;
    }
    running.stop().await;
    Ok(if bad { Exit::Bad } else { Exit::Good })
}

async fn day(gateway: &Gateway, instance: &str, ehr: &Running, started: Instant) -> Result<Tale, CouldNotRun> {
    let steps = scenario::steps()?;
    let bar = play::bar(&steps, std::io::stderr().is_terminal());
    let played = Player { gateway, ehr, instance, bar }.play(&steps).await?;
    // What waits for a person need not be there yet; whatever else was accepted must be.
    let syncs = gateway.all("syncs").await?;
    let excused: Vec<(&str, &str)> = syncs
        .iter()
        .filter(|sync| sync["state"] == "parked" || sync["state"] == "conflict")
        .filter_map(|sync| Some((sync["object"].as_str()?, sync["object_id"].as_str()?)))
        .collect();
    let due = |list: &[(String, String)]| -> Vec<(String, String)> {
        list.iter().filter(|(object, id)| !excused.contains(&(object.as_str(), id.as_str()))).cloned().collect()
    };
    let verdict = Truth::new(instance, ehr.truth()).judge(&due(&played.accepted), &due(&played.changed), &played.edits);
    tell::tale(gateway, played, verdict, started.elapsed().as_secs_f64()).await
}

fn mappings() -> Result<Arc<Mappings>, CouldNotRun> {
    Mappings::embedded().map_err(|error| CouldNotRun::from_error(&error, "build the program anew"))
}

fn configured(listen: &str, folder: &Path, ehr: &Running) -> Result<Config, CouldNotRun> {
    let built_in = Path::new("examples/demo/liaison.toml");
    let mut config = Config::parse(scenario::configuration()?, built_in)
        .map_err(|error| CouldNotRun::from_error(&error, "build the program anew"))?;
    config.server.listen = listen.parse().unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
    config.ledger.path = folder.join("ledger");
    for system in &mut config.systems {
        system.base_url.clone_from(&ehr.url);
    }
    Ok(config)
}

/// The wanted address, or one with a free port where that is taken.
fn free(wanted: &str) -> String {
    if TcpListener::bind(wanted).is_ok() { wanted.to_owned() } else { "127.0.0.1:0".to_owned() }
}

fn addresses(url: &str, ehr: &Running, ledger: &Path) -> String {
    let Running { url: base, address, .. } = ehr;
    let ledger = ledger.display();
    format!(
        "gateway      {url}\nworklist     {url}/api/v1/worklist\nFHIR         {url}/fhir\n\
         sandbox EHR  {base}   (what really happened there: http://{address}/_truth)\n\
         ledger       {ledger}   (look into it: liaison ledger verify --ledger {ledger})\n\
         The console at {url}/console is not available yet.\n\n"
    )
}

fn say(text: &str) -> Result<(), CouldNotRun> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| CouldNotRun::new(format!("cannot write to stdout: {error}"), ""))
}

/// A folder for the ledger, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, CouldNotRun> {
        let path = std::env::temp_dir().join(format!("liaison-demo-{}", uuid::Uuid::now_v7().simple()));
        std::fs::create_dir_all(&path).map_err(|error| {
            CouldNotRun::new(format!("cannot make {}: {error}", path.display()), "set TMPDIR to a folder with room")
        })?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own clearing of temporary folders.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}
