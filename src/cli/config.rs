//! `liaison config check [--config FILE]`: only its arguments; `app` runs it.

use std::path::PathBuf;

use super::Output;

/// `liaison config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Tell all that is wrong with a configuration, each with its line, and its weak places; starts nothing
    Check(CheckArgs),
}

/// Arguments of `liaison config check`.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "liaison.toml")]
    pub(crate) config: PathBuf,
    /// Text for people, or one JSON line
    #[arg(long, value_enum, default_value_t)]
    pub(crate) output: Output,
}
