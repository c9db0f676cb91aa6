//! Wires the rooms together: command line, configuration, clock, ledger, systems, listener. The only room (with
//! `clock`) that may ask the machine for time or chance.

pub mod config;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, CouldNotRun, Exit, Run};

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
    match run(cli.command) {
        Ok(Exit::Good) => ExitCode::SUCCESS,
        Ok(Exit::Bad) => ExitCode::from(1),
        Err(failure) => {
            eprintln!("liaison: {failure}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> Run {
    match command {
        Command::Ledger(args) => crate::cli::ledger::run(&args),
        Command::Profiles(args) => crate::cli::profiles::run(&args),
        Command::Push(args) => crate::cli::push::run(&args),
        Command::Serve(_) => Err(CouldNotRun::new("`serve` is not available yet", "")),
    }
}
