//! `liaison ledger verify|export|show|rebuild`: offline, on the ledger's files. Verify, export and show only read and
//! may run beside a gateway; rebuild needs the ledger for itself.

use std::{
    io::{self, BufWriter, Write as _},
    path::PathBuf,
};

use clap::{Subcommand, builder::NonEmptyStringValueParser};
use serde_json::json;

use super::{CouldNotRun, Exit, Run};
use crate::ledger::{Audit, Entry, LedgerError, rebuild};

/// Which ledger.
#[derive(Debug, clap::Args)]
pub(super) struct Folder {
    /// The ledger's folder, as `[ledger] path` of the configuration
    #[arg(long, global = true, default_value = "data/ledger", value_name = "DIR")]
    pub(super) ledger: PathBuf,
}

/// `liaison ledger`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    folder: Folder,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check every entry, the chain and every body; exit 1 and the first bad entry where something is damaged
    Verify,
    /// Write the history as NDJSON, each line as it stands in the log
    Export {
        /// Also write the bodies (patient data!), each behind the first entry that names it
        #[arg(long)]
        bodies: bool,
    },
    /// Show one entry with its bodies, or all that happened to an object, a sync or a worklist item
    Show {
        /// An entry's sequence, or the id of an object, sync or worklist item
        #[arg(value_name = "ID|SEQ", value_parser = NonEmptyStringValueParser::new())]
        what: String,
    },
    /// Delete the index (folds) and make it anew from the log
    Rebuild,
}

/// Runs a `ledger` command.
///
/// # Errors
/// [`CouldNotRun`] where there is no ledger, it cannot be read, or another process uses it.
pub fn run(args: &Args) -> Run {
    match &args.command {
        Command::Verify => verify(args),
        Command::Export { bodies } => print(args, *bodies, |_| true).map(|_| Exit::Good).or_else(damage),
        Command::Show { what } => show(args, what),
        Command::Rebuild => {
            let entries = rebuild(&args.folder.ledger).map_err(|why| tell(&why))?;
            crate::cli::say!("{}", json!({"ok": true, "entries": entries}));
            Ok(Exit::Good)
        }
    }
}

fn verify(args: &Args) -> Run {
    let found = Audit::of(&args.folder.ledger).and_then(|mut audit| audit.verify()).map_err(|why| tell(&why))?;
    let head = found.head.map(|head| head.hex());
    crate::cli::say!(
        "{}",
        json!({"ok": found.is_ok(), "entries": found.entries, "head": head, "first_bad_seq": found.first_bad_seq})
    );
    if found.unconfirmed > 0 {
        let bytes = found.unconfirmed;
        eprintln!("{bytes} bytes at the end were never confirmed (a crash left them); the next start cuts them");
    }
    match &found.bad {
        None => Ok(Exit::Good),
        Some(bad) => {
            eprintln!("liaison: {bad}");
            Ok(Exit::Bad)
        }
    }
}

fn show(args: &Args, what: &str) -> Run {
    let seq = what.parse::<u64>().ok();
    let found = print(args, seq.is_some(), |entry| is_about(entry, what, seq));
    match found {
        Ok(0) => {
            eprintln!("liaison: the ledger has no entry, object, sync or worklist item {what}");
            Ok(Exit::Bad)
        }
        Ok(_) => Ok(Exit::Good),
        Err(why) => damage(why),
    }
}

fn is_about(entry: &Entry, what: &str, seq: Option<u64>) -> bool {
    let draft = &entry.draft;
    // A worklist item's id names the entry that opened it.
    let opened = what.strip_prefix("w-").and_then(|seq| seq.parse().ok()) == Some(entry.seq);
    Some(entry.seq) == seq
        || opened
        || draft.object_id.as_ref().is_some_and(|id| id.as_str() == what)
        || draft.sync_id.as_ref().is_some_and(|id| id.as_str() == what)
        || draft.body.is_some_and(|body| body.to_string() == what)
        || draft.fact.item() == Some(what)
}

fn print(args: &Args, bodies: bool, wanted: impl Fn(&Entry) -> bool) -> Result<u64, LedgerError> {
    let mut out = BufWriter::new(io::stdout().lock());
    let count = Audit::of(&args.folder.ledger)?.lines(bodies, wanted, &mut |line| writeln!(out, "{line}"))?;
    let flushed = out.flush().map(|()| count);
    flushed.map_err(|source| LedgerError::Io { what: "write", path: PathBuf::from("standard output"), source })
}

/// Damage is bad input (exit 1); anything else could not run.
fn damage(why: LedgerError) -> Run {
    match why {
        LedgerError::Damaged { .. } | LedgerError::Body(_) => {
            eprintln!("liaison: {why}");
            Ok(Exit::Bad)
        }
        // The reader has gone (`| head`): it has what it wanted.
        LedgerError::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Good),
        other => Err(tell(&other)),
    }
}

pub(super) fn tell(why: &LedgerError) -> CouldNotRun {
    let remedy = match why {
        LedgerError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            "name the ledger's folder with --ledger DIR (it is `[ledger] path` of the configuration)"
        }
        _ => "",
    };
    CouldNotRun::from_error(why, remedy)
}
