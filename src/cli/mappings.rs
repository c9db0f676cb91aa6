//! `liaison mappings check|coverage|explain|export|shadow`: what mappings promise and do, for their authors. Thin; the
//! work is in `mapping` and `laws`.

mod check;
mod coverage;
mod examples;
mod explain;
mod export;
mod shadow;

use std::{path::PathBuf, sync::Arc};

use clap::{Subcommand, builder::NonEmptyStringValueParser};

use super::{
    CouldNotRun, Output, Run,
    translate::{self, ReadConfig},
};
use crate::mapping::Plan;

/// `liaison mappings`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prove the laws of the mappings on generated records
    Check(check::Args),
    /// Show what of FHIR each mapping maps, preserves and loses
    Coverage(coverage::Args),
    /// Show where each value of a translation comes from
    Explain(explain::Args),
    /// Write a mapping as FHIR StructureMap and ConceptMap resources
    Export(export::Args),
    /// Show what other mappings would do otherwise on what a ledger recorded
    Shadow(shadow::Args),
}

/// What all of them take.
#[derive(Debug, clap::Args)]
struct Common {
    /// Only this kind of object
    #[arg(long, value_name = "TYPE", value_parser = NonEmptyStringValueParser::new())]
    object: Option<String>,
    /// A folder of mappings laid over the built-in ones
    #[arg(long, value_name = "DIR")]
    mappings: Option<PathBuf>,
    /// Text for people, or JSON
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What those take that look at one mapping.
#[derive(Debug, clap::Args)]
struct One {
    /// The kind of object
    #[arg(long, value_name = "TYPE", value_parser = NonEmptyStringValueParser::new())]
    object: String,
    /// The dialect whose overlays count
    #[arg(long, default_value = "generic", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    dialect: String,
    /// A folder of mappings laid over the built-in ones
    #[arg(long, value_name = "DIR")]
    mappings: Option<PathBuf>,
}

impl One {
    fn plan(&self) -> Result<Arc<Plan>, CouldNotRun> {
        let mappings = translate::mappings_of(self.mappings.as_deref())?;
        translate::known_dialect(&mappings, &self.dialect)?;
        mappings.plan(&self.object, &self.dialect).ok_or_else(|| translate::unknown_object(&mappings, &self.object))
    }
}

/// Runs the command.
///
/// # Errors
/// [`super::CouldNotRun`]
pub fn run(args: &Args, read_config: ReadConfig<'_>) -> Run {
    match &args.command {
        Command::Check(args) => check::run(args),
        Command::Coverage(args) => coverage::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Export(args) => export::run(args),
        Command::Shadow(args) => shadow::run(args, read_config),
    }
}
