//! `liaison mappings shadow`: what a candidate folder of mappings would do otherwise on all that a ledger recorded.
//! Offline; only reads, also beside a running gateway. Shows values only on request: they are patient data.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use clap::builder::NonEmptyStringValueParser;

use crate::{
    cli::{
        CouldNotRun, Exit, Output, Run,
        ledger::{self, Folder},
        translate::{self, Configured, ReadConfig},
    },
    domain::{SystemName, did_you_mean},
    mapping::{Context, Shadow, Trial},
    sync::{History, Spoken},
};

/// `liaison mappings shadow`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of mappings that is tried, laid over the built-in ones
    #[arg(long, value_name = "DIR")]
    candidate: PathBuf,
    /// Only this kind of object
    #[arg(long, value_name = "TYPE", value_parser = NonEmptyStringValueParser::new())]
    object: Option<String>,
    /// Only what went to or came from this system
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    system: Option<String>,
    #[command(flatten)]
    ledger: Folder,
    /// The configuration, for the systems' dialects and zones, the instance and the mappings in use; by default
    /// liaison.toml where there is one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A folder of mappings that are in use now, laid over the built-in ones
    #[arg(long, value_name = "DIR")]
    mappings: Option<PathBuf>,
    /// Only the newest records
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Also show what differs for the examples (patient data!)
    #[arg(long)]
    values: bool,
    /// Text for people, or JSON
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(args: &Args, read_config: ReadConfig<'_>) -> Run {
    let default = PathBuf::from("liaison.toml");
    let configured = match args.config.as_ref().or_else(|| default.is_file().then_some(&default)) {
        Some(path) => Some(read_config(path)?),
        None => None,
    };
    let in_use = args.mappings.as_deref().or(configured.as_ref().and_then(|known| known.mappings.as_deref()));
    let now = translate::mappings_of(in_use)?;
    let candidate = translate::mappings_of(Some(&args.candidate))?;
    if let Some(object) =
        args.object.as_ref().filter(|name| [&now, &candidate].iter().all(|m| m.object(name).is_none()))
    {
        return Err(translate::unknown_object(&now, object));
    }
    if let (Some(name), Some(known)) = (&args.system, &configured) {
        known_system(known, name)?;
    }
    let instance = configured.as_ref().map(|known| known.instance.clone());
    let mut history = History::of(&args.ledger.ledger, instance).map_err(|why| ledger::tell(&why))?;
    history.keep(args.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)), |object, system| {
        args.object.as_deref().is_none_or(|wanted| wanted == object)
            && args.system.as_deref().is_none_or(|wanted| wanted == system.as_str())
    });
    let mut trial = Trial::new(&now, &candidate, Context::new(&history.instance), args.values);
    let spoken = spoken(configured.unwrap_or_default());
    history.each(spoken, |record| trial.add(&record)).map_err(|why| ledger::tell(&why))?;
    let found = trial.finish();
    match args.output {
        Output::Json => crate::cli::say!("{}", serde_json::to_string(&found).unwrap_or_default()),
        Output::Text => tell(&found, history.erased),
    }
    Ok(if found.changed == 0 { Exit::Good } else { Exit::Bad })
}

/// Refuses a system that the configuration does not name: nothing would be tried, and that would look like no change.
fn known_system(configured: &Configured, name: &str) -> Result<(), CouldNotRun> {
    let names: Vec<&str> = configured.systems.iter().map(|(system, ..)| system.as_str()).collect();
    if names.contains(&name) {
        return Ok(());
    }
    let remedy = did_you_mean(name, names);
    Err(CouldNotRun::new(format!("the configuration names no system `{name}`"), remedy))
}

/// Dialect and zone of each system; of one that is not configured the generic dialect.
fn spoken(configured: Configured) -> impl Fn(&SystemName) -> Spoken {
    let known: BTreeMap<String, Spoken> =
        configured.systems.into_iter().map(|(name, dialect, zone)| (name, (dialect, Some(Arc::from(zone))))).collect();
    move |system| known.get(system.as_str()).cloned().unwrap_or_else(|| ("generic".to_owned(), None))
}

fn tell(found: &Shadow, erased: usize) {
    for one in &found.differences {
        let rule = one.rule.as_ref().map(|rule| format!("  ({rule})")).unwrap_or_default();
        let direction = if one.direction == "to_fhir" { "to FHIR" } else { "to internal" };
        crate::cli::say!("{} {direction}: {}, {} records{rule}", one.object, one.path, one.records);
        for (at, id) in one.examples.iter().enumerate() {
            match one.values.get(at) {
                Some((now, then)) => crate::cli::say!("    {id}: {now} → {then}"),
                None => crate::cli::say!("    {id}"),
            }
        }
    }
    crate::cli::say!("{} records tried, {} would come out otherwise", found.tried, found.changed);
    if erased > 0 {
        eprintln!("{erased} records could not be tried: their bodies were erased");
    }
}
