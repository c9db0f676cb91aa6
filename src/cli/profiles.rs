//! `liaison profiles core-pack|install|list`: the core pack is made, packages are installed and shown. Thin; the work
//! is in `definitions`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Subcommand;

use super::{CouldNotRun, Exit, Run};
use crate::definitions::{self, Package, errata};

/// `liaison profiles`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the core pack (FHIR R4's constraints without the prose) from the genuine hl7.fhir.r4.core package
    CorePack(CorePackArgs),
}

/// `liaison profiles core-pack`.
#[derive(Debug, clap::Args)]
pub struct CorePackArgs {
    /// The package: hl7.fhir.r4.core-4.0.1.tgz
    tgz: PathBuf,
    /// Where to write r4.pack; its errata.toml is applied
    #[arg(long, default_value = "profiles/core")]
    out: PathBuf,
}

/// Runs a `profiles` command.
///
/// # Errors
/// [`CouldNotRun`] with what to do.
pub fn run(args: &Args) -> Run {
    match &args.command {
        Command::CorePack(args) => core_pack(args),
    }
}

fn core_pack(args: &CorePackArgs) -> Run {
    let tell = |error: definitions::Error| CouldNotRun::from_error(&error, "");
    let list = args.out.join("errata.toml");
    let text = fs::read_to_string(&list).map_err(|error| unreadable(&list, &error))?;
    let errata = errata::read(&text).map_err(tell)?;
    let package = Package::open(&args.tgz).map_err(tell)?;
    let made = definitions::core_pack(&package, errata).map_err(tell)?;
    let target = args.out.join("r4.pack");
    fs::write(&target, &made.bytes).map_err(|error| unreadable(&target, &error))?;
    eprintln!("{}: {} definitions, {} bytes", target.display(), made.definitions, made.bytes.len());
    for erratum in &made.errata {
        let what = if erratum.becomes.is_some() { "mended" } else { "noted" };
        eprintln!("erratum {}: {what} in {} places. {}", erratum.id, erratum.places, erratum.why);
    }
    Ok(Exit::Good)
}

fn unreadable(path: &Path, error: &std::io::Error) -> CouldNotRun {
    CouldNotRun::new(format!("{}: {error}", path.display()), "check that the path exists and may be read and written")
}
