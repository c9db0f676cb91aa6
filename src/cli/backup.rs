//! `liaison backup`: a whole, verified copy of a ledger, also of one at work.

use std::path::PathBuf;

use serde_json::json;

use super::{
    Exit, Run,
    ledger::{Folder, tell},
};
use crate::ledger::{LedgerError, backup};

/// `liaison backup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the copy goes; an empty or a new folder
    #[arg(value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    folder: Folder,
}

/// Runs `backup`; says `{"ok","entries","head"}`.
///
/// # Errors
/// [`CouldNotRun`](super::CouldNotRun) where there is no ledger or the copy cannot be made.
pub fn run(args: &Args) -> Run {
    match backup(&args.folder.ledger, &args.to) {
        Ok(copied) => {
            let head = copied.head.map(|head| head.hex());
            crate::cli::say!("{}", json!({"ok": true, "entries": copied.entries, "head": head}));
            Ok(Exit::Good)
        }
        Err(why @ (LedgerError::Damaged { .. } | LedgerError::Body(_))) => {
            eprintln!("liaison: {why}");
            crate::cli::say!("{}", json!({"ok": false, "entries": null, "head": null}));
            Ok(Exit::Bad)
        }
        Err(why) => Err(tell(&why)),
    }
}
