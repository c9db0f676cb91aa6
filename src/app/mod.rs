//! Wires the rooms together: command line, configuration, clock, ledger, systems, listener. The only room (with
//! `clock`) that may ask the machine for time or chance.

pub mod command;
pub mod config;
pub mod demo;
pub mod fetch;
pub mod gateway;
pub mod serve;

use std::process::ExitCode;

use clap::Parser;

use command::Cli;

use crate::cli::{CouldNotRun, Exit};

/// Parses the command line, runs the command, turns the result into the contract's exit codes.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            let _ = usage.print();
            return if usage.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
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

/// The runtime that servers run on.
fn runtime() -> Result<tokio::runtime::Runtime, CouldNotRun> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CouldNotRun::new(format!("no runtime: {error}"), "check the limits of this process"))
}
