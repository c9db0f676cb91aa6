//! `liaison sandbox`: the practice EHR as a process of its own.

use std::{io::Write, path::PathBuf};

use clap::builder::NonEmptyStringValueParser;

use super::{FaultError, FaultsFile, Options, StartError, spawn};

/// An EHR to practise with, at `/fhir`; its true history at `/_truth`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen, on loopback only; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8090", value_name = "ADDRESS", value_parser = NonEmptyStringValueParser::new())]
    pub listen: String,
    /// Faults to commit, by pattern and seed (see examples/faults.toml).
    #[arg(long, value_name = "FILE.toml")]
    pub faults: Option<PathBuf>,
    /// Keep what it holds in this folder, over restarts and crashes; without it, it forgets.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Several practices in one EHR: not available yet.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub tenant: Vec<String>,
}

/// Why it did not run.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The faults file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// As given.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The faults file is wrong.
    #[error(transparent)]
    Faults(#[from] FaultError),
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// In the contract, not built yet.
    #[error("`--tenant` is not available yet; leave it out")]
    Tenant,
    /// The address could not be told.
    #[error("cannot write to stdout: {0}")]
    Stdout(#[source] std::io::Error),
}

/// Runs until the process ends. The first line on stdout is `listening http://…`.
///
/// # Errors
/// [`CommandError`]; all of them mean "could not run" (exit 2), but a wrong faults file is bad input (exit 1).
pub async fn run(args: Args) -> Result<(), CommandError> {
    if !args.tenant.is_empty() {
        return Err(CommandError::Tenant);
    }
    let faults = match args.faults {
        Some(path) => match std::fs::read_to_string(&path) {
            Ok(text) => FaultsFile::parse(&text)?,
            Err(source) => return Err(CommandError::Read { path, source }),
        },
        None => FaultsFile::default(),
    };
    let options = Options { listen: args.listen, faults, data: args.data.clone(), ..Options::practice() };
    let running = spawn(options).await?;
    let mut out = std::io::stdout();
    writeln!(out, "listening http://{}", running.address).and_then(|()| out.flush()).map_err(CommandError::Stdout)?;
    eprintln!("FHIR base {}, true history http://{}/_truth", running.url, running.address);
    match &args.data {
        Some(folder) => eprintln!("{} commits are kept in {}", running.truth().len(), folder.display()),
        None => eprintln!("what it holds is forgotten when it stops (--data DIR keeps it)"),
    }
    tokio::select! {
        () = running.wait() => {}
        () = stop_signal() => {}
    }
    Ok(())
}

/// Completes on SIGTERM or Ctrl-C.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
