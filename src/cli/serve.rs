//! `liaison serve [--config liaison.toml]`: only its arguments; `app` runs it.

use std::path::PathBuf;

/// Arguments of `liaison serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration; without it, `liaison.toml` in this folder if there is one, else the defaults.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
