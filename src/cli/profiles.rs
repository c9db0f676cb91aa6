//! `liaison profiles core-pack|install|list`: the core pack is made, packages are installed and shown. Thin; the work
//! is in `definitions`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Subcommand, builder::NonEmptyStringValueParser};
use url::Url;

use super::{CouldNotRun, Exit, Output, Run};
use crate::definitions::{self, Checked, Error, Fetch, Installed, PACKAGES, Package, Registry, errata};

/// `liaison profiles`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install packages of profiles: from .tgz files, folders, or a registry (NAME#VERSION)
    Install(InstallArgs),
    /// List the installed packages
    List(ListArgs),
    /// Make the core pack (FHIR R4's constraints without the prose) from the genuine hl7.fhir.r4.core package
    CorePack(CorePackArgs),
}

/// `liaison profiles install`.
#[derive(Debug, clap::Args)]
pub struct InstallArgs {
    /// A .tgz, a folder with package.json, or NAME[#VERSION] to fetch from the registry
    #[arg(required = true, value_name = "TGZ|DIR|NAME#VERSION", value_parser = NonEmptyStringValueParser::new())]
    packages: Vec<String>,
    /// Where packages are kept
    #[arg(long, default_value = PACKAGES, value_name = "DIR")]
    dir: PathBuf,
    /// The package registry
    #[arg(long, default_value = "https://packages.fhir.org", value_name = "URL")]
    registry: Url,
    /// The checksum that the package must have (one package only)
    #[arg(long, value_name = "HEX", value_parser = checksum)]
    sha256: Option<String>,
}

/// `liaison profiles list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Where packages are kept
    #[arg(long, default_value = PACKAGES, value_name = "DIR")]
    dir: PathBuf,
    /// For people or programs
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// `liaison profiles core-pack`.
#[derive(Debug, clap::Args)]
pub struct CorePackArgs {
    /// The package: hl7.fhir.r4.core-4.0.1.tgz
    #[arg(value_name = "TGZ")]
    tgz: PathBuf,
    /// Where to write r4.pack; its errata.toml is applied
    #[arg(long, default_value = "profiles/core", value_name = "DIR")]
    out: PathBuf,
}

/// 64 hexadecimal digits.
fn checksum(text: &str) -> Result<String, String> {
    let good = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if good { Ok(text.to_owned()) } else { Err("a SHA-256 checksum is 64 hexadecimal digits".to_owned()) }
}

/// Runs a `profiles` command; `fetch` reaches registries.
///
/// # Errors
/// [`CouldNotRun`] with what to do.
pub fn run(args: &Args, fetch: &dyn Fetch) -> Run {
    match &args.command {
        Command::Install(args) => install(args, fetch),
        Command::List(args) => list(args),
        Command::CorePack(args) => core_pack(args),
    }
}

/// What is refused as bad input is exit 1; what could not be tried is exit 2.
fn tell(error: &Error) -> Run {
    let remedy = match error {
        Error::Registry { .. } => "check name, version and network, or install the .tgz from a file",
        Error::Unsafe { .. } | Error::Checksum { .. } => "nothing was written; get the package from its publisher",
        _ => "",
    };
    let failure = CouldNotRun::from_error(error, remedy);
    match error {
        Error::Unsafe { .. } | Error::Checksum { .. } | Error::Unreadable { .. } | Error::Pack => {
            eprintln!("liaison: {failure}");
            Ok(Exit::Bad)
        }
        _ => Err(failure),
    }
}

fn install(args: &InstallArgs, fetch: &dyn Fetch) -> Run {
    if args.sha256.is_some() && args.packages.len() != 1 {
        return Err(CouldNotRun::new("--sha256 goes with one package", "install the packages one by one"));
    }
    match try_install(args, fetch) {
        Ok(()) => Ok(Exit::Good),
        Err(error) => tell(&error),
    }
}

fn try_install(args: &InstallArgs, fetch: &dyn Fetch) -> Result<(), Error> {
    let mut installed = Installed::at(&args.dir)?;
    let registry = Registry { url: args.registry.clone(), fetch };
    let (mut all, mut missing) = (Vec::new(), Vec::new());
    for name in &args.packages {
        let path = Path::new(name);
        let looks_like_path = name.ends_with(".tgz") || name.contains(['/', '\\']) || name.starts_with('.');
        let (fetched, lacking) = if path.exists() || looks_like_path {
            (vec![Checked::open(path)?], Vec::new())
        } else {
            registry.fetch(name, &installed)?
        };
        if let (Some(wanted), Some(first)) = (&args.sha256, fetched.first())
            && !wanted.eq_ignore_ascii_case(&first.sha256())
        {
            return Err(Error::Checksum { package: first.package.label(), place: "--sha256".to_owned() });
        }
        all.extend(fetched);
        missing.extend(lacking);
    }
    let new = installed.add(&all)?;
    for one in &all {
        let label = one.package.label();
        crate::cli::say!("{label} {}", if new.contains(&label) { "installed" } else { "was installed already" });
        // Making the pack now spares the first start; what it warns of is told now.
        let (_, warnings) = installed.load(&label)?;
        warnings.iter().for_each(|warning| eprintln!("note: {warning}"));
        let missing = installed.missing(&label);
        if !missing.is_empty() {
            eprintln!(
                "note: {label} also names packages that are not installed; install them if a validation misses \
                 something of theirs: {}",
                missing.join(", ")
            );
        }
    }
    missing.iter().for_each(|label| eprintln!("note: the registry does not have {label}, which is needed"));
    Ok(())
}

fn list(args: &ListArgs) -> Run {
    let installed = match Installed::at(&args.dir) {
        Ok(installed) => installed,
        Err(error) => return tell(&error),
    };
    for (label, locked) in installed.list() {
        match args.output {
            Output::Text => {
                crate::cli::say!(
                    "{label}  sha256 {}  from {}",
                    &locked.sha256[..16.min(locked.sha256.len())],
                    locked.from
                )
            }
            Output::Json => {
                let line = serde_json::json!({"package": label, "sha256": locked.sha256, "from": locked.from,
                    "dependencies": locked.dependencies});
                crate::cli::say!("{line}");
            }
        }
    }
    if installed.list().next().is_none() {
        eprintln!("no packages in {}; FHIR R4 itself is built in", args.dir.display());
    }
    Ok(Exit::Good)
}

fn core_pack(args: &CorePackArgs) -> Run {
    let list = args.out.join("errata.toml");
    let text = fs::read_to_string(&list).map_err(|error| unreadable(&list, &error))?;
    let made = errata::read(&text).and_then(|errata| definitions::core_pack(&Package::open(&args.tgz)?, errata));
    let made = match made {
        Ok(made) => made,
        Err(error) => return tell(&error),
    };
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
