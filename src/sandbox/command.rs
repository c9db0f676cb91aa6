//! `liaison sandbox`: the practice EHR as a process of its own.

use std::{io::Write, path::PathBuf};

use super::{FaultError, FaultsFile, Options, StartError, spawn};

/// An EHR to practise with, at `/fhir`; its true history at `/_truth`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8090", value_name = "ADDRESS")]
    pub listen: String,
    /// Faults to commit, by pattern and seed (see examples/faults.toml).
    #[arg(long, value_name = "FILE.toml")]
    pub faults: Option<PathBuf>,
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
    /// The address could not be told.
    #[error("cannot write to stdout: {0}")]
    Stdout(#[source] std::io::Error),
}

/// Runs until the process ends. The first line on stdout is `listening http://…`.
///
/// # Errors
/// [`CommandError`]; all of them mean "could not run" (exit 2), but a wrong faults file is bad input (exit 1).
pub async fn run(args: Args) -> Result<(), CommandError> {
    let faults = match args.faults {
        Some(path) => match std::fs::read_to_string(&path) {
            Ok(text) => FaultsFile::parse(&text)?,
            Err(source) => return Err(CommandError::Read { path, source }),
        },
        None => FaultsFile::default(),
    };
    let options = Options { listen: args.listen, faults, ..Options::practice() };
    let running = spawn(options).await?;
    let mut out = std::io::stdout();
    writeln!(out, "listening http://{}", running.address).and_then(|()| out.flush()).map_err(CommandError::Stdout)?;
    eprintln!("FHIR base {}, true history http://{}/_truth", running.url, running.address);
    running.wait().await;
    Ok(())
}
