//! Wires the rooms together: command line, configuration, clock, ledger, systems, listener. The only room (with
//! `clock`) that may ask the machine for time or chance.

pub mod command;
pub mod config;
pub mod config_check;
pub mod demo;
pub mod fetch;
pub mod gateway;
pub mod help;
pub mod serve;

use std::process::ExitCode;

use clap::{FromArgMatches, error::ErrorKind};

use command::Cli;

use crate::{
    cli::{CouldNotRun, Exit},
    error::without_secrets,
};

/// In the contract and not built yet: its first word, or its first two.
const LATER: [&str; 6] = ["keys", "clients", "people", "audit", "self-test", "ledger erase"];

/// Parses the command line, runs the command, turns the result into the contract's exit codes.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match help::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(usage) => return misused(&usage),
    };
    match command::run(cli.command) {
        Ok(Exit::Good) => ExitCode::SUCCESS,
        Ok(Exit::Bad) => ExitCode::from(1),
        Err(failure) => {
            eprintln!("liaison: {failure}");
            ExitCode::from(2)
        }
    }
}

/// Help and version on stdout; what was typed wrongly on stderr, without the passwords that may have been typed.
fn misused(usage: &clap::Error) -> ExitCode {
    if usage.kind() == ErrorKind::InvalidSubcommand
        && let Some(later) = LATER.iter().find(|later| typed(later))
    {
        eprintln!("liaison: `liaison {later}` is not available yet");
        return ExitCode::from(2);
    }
    if !usage.use_stderr() {
        let _ = usage.print();
        return ExitCode::SUCCESS;
    }
    eprint!("{}", without_secrets(&usage.render().to_string()));
    ExitCode::from(2)
}

/// Whether the command line begins with these words.
fn typed(words: &str) -> bool {
    let mut typed = std::env::args().skip(1);
    words.split(' ').all(|word| typed.next().is_some_and(|typed| typed == word))
}

/// The runtime that servers run on.
fn runtime() -> Result<tokio::runtime::Runtime, CouldNotRun> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CouldNotRun::new(format!("no runtime: {error}"), "check the limits of this process"))
}
