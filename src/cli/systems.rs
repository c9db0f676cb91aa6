//! `liaison systems probe URL`: reads an EHR's CapabilityStatement and writes the `[[systems]]` section for it on stdout,
//! with what the EHR does not offer as comments. Sends no credentials and stores nothing.

use std::{fmt::Write as _, sync::Arc};

use clap::builder::NonEmptyStringValueParser;

use super::{CouldNotRun, Exit, Run};
use crate::{
    clock::SystemClock,
    domain::SystemName,
    ehr::{Capability, Client, Failure, Http, Kind, SystemConfig},
    mapping::Mappings,
};

/// Arguments of `liaison systems`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// The subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Read what an EHR says it can do and write the configuration for it.
    Probe {
        /// FHIR base URL, for example `https://ehr.example.com/fhir`.
        #[arg(value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
        url: String,
        /// The name that the system shall have; made from the host where left out.
        #[arg(long, value_name = "NAME")]
        name: Option<SystemName>,
    },
}

/// Runs the command.
///
/// # Errors
/// [`CouldNotRun`] where the EHR cannot be reached or is none.
pub fn run(args: &Args) -> Run {
    let What::Probe { url, name } = &args.what;
    let name = match name {
        Some(name) => name.clone(),
        None => named_after(url)?,
    };
    let config = SystemConfig::new(name, url);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CouldNotRun::new(format!("no runtime: {error}"), ""))?;
    let could_not = |failure: &Failure| CouldNotRun::from_error(failure, remedy(failure));
    let transport = Http::shared(&config).map_err(|why| CouldNotRun::new(why, ""))?;
    let client = Client::new(&config, transport, Arc::new(SystemClock)).map_err(|failure| could_not(&failure))?;
    let capability = runtime.block_on(client.fetch_capability()).map_err(|failure| could_not(&failure))?;
    if !capability.is_stated() {
        return Err(CouldNotRun::new(
            "the server there has no CapabilityStatement at /metadata",
            "give the EHR's FHIR base URL, the one that /metadata can be read below",
        ));
    }
    let mappings =
        Mappings::embedded().map_err(|error| CouldNotRun::from_error(&error, "this is a defect of the program"))?;
    print!("{}", section(&config, &capability, &mappings));
    Ok(Exit::Good)
}

/// What to do about a failure.
fn remedy(failure: &Failure) -> &'static str {
    match failure.kind {
        Kind::Unreachable => "look whether the EHR runs, and whether host and port are right",
        Kind::Unauthorised | Kind::Forbidden => {
            "its statement is not public: ask the vendor for it, and write the section by examples/liaison.toml"
        }
        Kind::Busy | Kind::Lost => "try again in a while",
        // What answers says of itself what it speaks.
        Kind::NotAnEhr if failure.message.contains("spoken here") => "ask the vendor for the address of its R4 API",
        _ => "give the EHR's FHIR base URL, the one that /metadata can be read below",
    }
}

/// A name from the host; an odd host leaves `ehr`.
fn named_after(url: &str) -> Result<SystemName, CouldNotRun> {
    let host = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let name: String = host.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(64).collect();
    let name = name.trim_matches('-');
    SystemName::new(if name.is_empty() { "ehr" } else { name })
        .map_err(|bad| CouldNotRun::new(bad.to_string(), "give a name with --name"))
}

/// The section as TOML, with the reasons as comments.
fn section(config: &SystemConfig, capability: &Capability, mappings: &Mappings) -> String {
    let mut text = String::new();
    let product = capability.software.as_deref().unwrap_or("a product that it does not name");
    let product: String = product.chars().filter(|c| !c.is_control()).collect();
    let _ = writeln!(text, "# {product}, FHIR {}", capability.fhir_version);
    let _ = writeln!(text, "[[systems]]\nname = \"{}\"\nbase_url = {:?}", config.name, config.base_url);
    let guess = capability.software.as_deref().and_then(|software| mappings.dialect_of(software));
    let why = if guess.is_some() { "  # by what it calls itself" } else { "" };
    let _ = writeln!(text, "dialect = \"{}\"{why}", guess.unwrap_or("generic"));
    let _ = writeln!(text, "zone = \"UTC\"            # the IANA zone of times that it sends without one: please set");
    let mut push = Vec::new();
    let mut remarks = Vec::new();
    if !capability.lists_types() {
        remarks.push("# it does not say which types it takes: everything is tried, and nothing relied upon".to_owned());
    }
    for object in mappings.objects() {
        let kind = object.resource_type();
        if !capability.offers(kind, "create") {
            remarks.push(format!("# not offered: to take {} ({kind})", crate::domain::a(object.name())));
            continue;
        }
        push.push(format!("{:?}", object.name()));
        if !capability.offers(kind, "update") {
            remarks.push(format!("# {}: can be created there but not changed ({kind})", object.name()));
        }
        if capability.lists_types() && capability.offers(kind, "update") && !capability.versioned_update(kind) {
            remarks.push(format!(
                "# {}: edits are unprotected: it does not promise to heed If-Match ({kind}); what was written over is noticed \
                 by its versions, and put back where it keeps a history",
                object.name()
            ));
        }
        if capability.lists_types() && !capability.conditional_create(kind) {
            remarks.push(format!(
                "# {}: no conditional create; lost answers are read back, then asked about",
                object.name()
            ));
        }
    }
    let _ = writeln!(text, "push = [{}]  # keep what you mean to send", push.join(", "));
    let _ = writeln!(text, "max_concurrency = 8");
    for remark in remarks {
        let _ = writeln!(text, "{remark}");
    }
    let _ = writeln!(text, "\n[systems.auth]\n{}", auth(capability));
    let mut types: Vec<&str> = mappings.objects().map(|object| object.resource_type()).collect();
    types.sort_unstable();
    types.dedup();
    let (found, missing): (Vec<&str>, Vec<&str>) =
        types.into_iter().partition(|kind| capability.offers(kind, "search-type"));
    let listed: Vec<String> = found.iter().map(|kind| format!("{kind:?}")).collect();
    let _ = writeln!(
        text,
        "\n[systems.pull]\nevery = \"30s\"\ntypes = [{}]  # keep what you mean to fetch",
        listed.join(", ")
    );
    let swept: Vec<&&str> =
        found.iter().filter(|kind| capability.searches(kind, "_lastUpdated") == Some(false)).collect();
    for kind in swept {
        let _ = writeln!(text, "# {kind}: no search by _lastUpdated; fetched by history or by sweeps of a date window");
    }
    if !missing.is_empty() {
        let _ = writeln!(text, "# cannot be searched there: {}", missing.join(", "));
    }
    text
}

fn auth(capability: &Capability) -> &'static str {
    let names = |what: &str| capability.security.iter().any(|code| code.eq_ignore_ascii_case(what));
    if names("SMART-on-FHIR") || names("OAuth") {
        "kind = \"smart-backend\"  # or client-credentials\nclient_id = \"…\"\nkey_file = \"secrets/ehr-key.pem\"\nkey_id = \"…\""
    } else if names("Basic") {
        "kind = \"basic\"\nusername = \"…\"\npassword_file = \"secrets/ehr-password\""
    } else {
        "kind = \"none\"           # none | basic | bearer | client-credentials | smart-backend"
    }
}
