//! `liaison config check`: all that is wrong with a configuration, and its weak places. Starts nothing, writes nothing,
//! asks no EHR.

use std::sync::Arc;

use serde_json::json;

use super::{config, gateway};
use crate::{
    cli::{
        CouldNotRun, Exit, Output, Run,
        config::{Args, CheckArgs, Command},
        say,
    },
    clock::SystemClock,
    definitions::Definitions,
    mapping::Mappings,
};

/// Runs the command; exit code 1 where there are faults.
///
/// # Errors
/// [`CouldNotRun`] where the file cannot be read.
pub fn run(args: &Args) -> Run {
    let Command::Check(CheckArgs { config: path, output }) = &args.command;
    let mut others = Vec::new();
    let examined = config::examine(path, |config| {
        let clock: crate::clock::SharedClock = Arc::new(SystemClock);
        // Packages that are not there were told with their line.
        let definitions = gateway::definitions(config, &clock).unwrap_or_else(|_| Definitions::core());
        let mappings = match gateway::mappings(config) {
            Ok(mappings) => Some(mappings),
            Err(failure) => {
                others.push(failure.to_string());
                Mappings::embedded().ok()
            }
        };
        (definitions, mappings)
    });
    let (faults, weak) = examined.map_err(|error| {
        CouldNotRun::from_error(&error, "name the file with --config; examples/liaison.toml is one to start from")
    })?;
    let ok = faults.is_empty() && others.is_empty();
    match output {
        Output::Json => {
            let file = path.display().to_string();
            say!("{}", json!({"file": file, "ok": ok, "faults": faults, "mappings": others, "weak": weak}));
        }
        Output::Text => {
            for fault in &faults {
                say!("fault: {}, {fault}\n", path.display());
            }
            for other in &others {
                say!("fault: {other}\n");
            }
            for place in &weak {
                say!("weak: {}, {place}\n", path.display());
            }
            let (count, weak) = (faults.len() + others.len(), weak.len());
            say!("{}: {}, {}", path.display(), counted(count, "fault"), counted(weak, "weak place"));
        }
    }
    Ok(if ok { Exit::Good } else { Exit::Bad })
}

fn counted(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}
