//! What a configuration names, held against what is there: kinds of objects, dialects, FHIR's types, search parameters
//! and profiles; folders, packages and secrets on this machine. And its weak places: what works and is hardly meant.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::{Config, check::Findings};
use crate::{
    definitions::{Definitions, Derivation, Installed, PACKAGES},
    domain::{did_you_mean, nearest},
    ehr::{AuthConfig, PullConfig, SystemConfig, check_secrets},
    mapping::Mappings,
};

/// Folders, packages and secrets.
pub(super) fn machine(config: &Config, findings: &mut Findings<'_>) {
    let ledger = &config.ledger.path;
    if fs::metadata(ledger).is_ok_and(|about| !about.is_dir()) {
        findings.add("ledger.path", format!("{} is there and is no folder", ledger.display()), "name another folder");
    }
    for (path, dir) in [("mappings.dir", &config.mappings.dir), ("profiles.dir", &config.profiles.dir)] {
        if let Some(dir) = dir.as_ref().filter(|dir| !dir.is_dir()) {
            let problem = format!("there is no folder {}", dir.display());
            findings.add(path, problem, "name a folder that is there, relative to where the gateway starts");
        }
    }
    packages(config, findings);
    for (at, system) in config.systems.iter().enumerate() {
        // Whether a file and a variable are both named, or neither, was told before.
        if let (Some(key), Err(failure)) = (secret_key(&system.auth), check_secrets(system)) {
            let remedy = "put the secret there, readable for the user that the gateway runs as";
            findings.add(&format!("systems[{at}].auth.{key}"), failure.message, remedy);
        }
    }
}

fn packages(config: &Config, findings: &mut Findings<'_>) {
    let dir = config.profiles.dir.as_deref().unwrap_or(Path::new(PACKAGES));
    let Ok(installed) = Installed::at(dir) else { return };
    for (at, name) in config.profiles.packages.iter().enumerate() {
        if installed.has(name) || Path::new(name).exists() {
            continue;
        }
        let labels: Vec<&str> = installed.list().map(|(label, _)| label).collect();
        let remedy = match nearest(name, labels) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("install it: liaison profiles install {name}"),
        };
        findings.add(&format!("profiles.packages[{at}]"), format!("the package {name} is not installed"), remedy);
    }
}

/// The key that names where the secret is, if exactly one does.
fn secret_key(auth: &AuthConfig) -> Option<&'static str> {
    let one = |file: bool, variable: bool, keys: [&'static str; 2]| match (file, variable) {
        (true, false) => Some(keys[0]),
        (false, true) => Some(keys[1]),
        _ => None,
    };
    match auth {
        AuthConfig::None => None,
        AuthConfig::Basic { password_file, password_env, .. } => {
            one(password_file.is_some(), password_env.is_some(), ["password_file", "password_env"])
        }
        AuthConfig::Bearer { token_file, token_env } => {
            one(token_file.is_some(), token_env.is_some(), ["token_file", "token_env"])
        }
        AuthConfig::ClientCredentials { secret_file, secret_env, .. } => {
            one(secret_file.is_some(), secret_env.is_some(), ["secret_file", "secret_env"])
        }
        AuthConfig::SmartBackend { .. } => Some("key_file"),
    }
}

/// Kinds, dialects, types, parameters, profiles.
pub(super) fn named(config: &Config, definitions: &Definitions, mappings: &Mappings, findings: &mut Findings<'_>) {
    for (at, system) in config.systems.iter().enumerate() {
        let path = format!("systems[{at}]");
        let dialects: Vec<&str> = mappings.dialects().iter().map(|name| &**name).collect();
        if system.dialect != "generic" && !dialects.contains(&system.dialect.as_str()) {
            let problem = format!("there is no dialect `{}`", system.dialect);
            findings.add(&format!("{path}.dialect"), problem, did_you_mean(&system.dialect, dialects));
        }
        objects(findings, &path, system, mappings);
        profiles(findings, &path, system, definitions, mappings);
        if let Some(pull) = &system.pull {
            types(findings, &format!("{path}.pull"), pull, definitions);
        }
    }
}

fn objects(findings: &mut Findings<'_>, path: &str, system: &SystemConfig, mappings: &Mappings) {
    let pushed = system.push.iter().enumerate().map(|(at, object)| (format!("{path}.push[{at}]"), object));
    let profiled = system.profiles.keys().map(|object| (format!("{path}.profiles.{object}"), object));
    for (place, object) in pushed.chain(profiled) {
        if mappings.object(object.as_str()).is_some() {
            continue;
        }
        let names: Vec<&str> = mappings.objects().map(|object| object.name()).collect();
        let remedy = match mappings.by_plural(object.as_str()) {
            Some(found) => format!("did you mean `{}`?", found.name()),
            None => did_you_mean(object.as_str(), names),
        };
        findings.add(&place, format!("there is no kind of object `{object}`"), remedy);
    }
}

fn profiles(
    findings: &mut Findings<'_>,
    path: &str,
    system: &SystemConfig,
    definitions: &Definitions,
    mappings: &Mappings,
) {
    for (object, urls) in &system.profiles {
        let Some(object) = mappings.object(object.as_str()) else { continue };
        for (at, url) in urls.iter().enumerate().filter(|(_, url)| !url.trim().is_empty()) {
            let place = format!("{path}.profiles.{}[{at}]", object.name());
            match definitions.structure(url) {
                None => {
                    let all: Vec<String> = definitions.list("StructureDefinition").map(|found| found.url).collect();
                    let remedy = match nearest(url, all.iter().map(String::as_str)) {
                        Some(near) => format!("did you mean {near}? Else add its package to [profiles] packages"),
                        None => "add its package to [profiles] packages".to_owned(),
                    };
                    findings.add(&place, format!("the profile {url} is in none of the packages at hand"), remedy);
                }
                Some(found) if found.type_name != object.resource_type() => {
                    let (wanted, own) = (object.resource_type(), &found.type_name);
                    let problem = format!("this is a profile of {own}, and {} is sent as {wanted}", object.name());
                    findings.add(&place, problem, format!("name a profile of {wanted}"));
                }
                Some(_) => {}
            }
        }
    }
}

fn types(findings: &mut Findings<'_>, path: &str, pull: &PullConfig, definitions: &Definitions) {
    let is_resource = |name: &str| {
        definitions.base_type(name).is_some_and(|found| {
            found.kind == crate::definitions::Kind::Resource
                && found.derivation == Derivation::Specialization
                && !found.is_abstract
        })
    };
    for (at, kind) in pull.types.iter().enumerate().filter(|(_, kind)| !kind.trim().is_empty()) {
        if is_resource(kind) {
            continue;
        }
        let all: Vec<String> = definitions
            .list("StructureDefinition")
            .filter_map(|found| found.url.strip_prefix("http://hl7.org/fhir/StructureDefinition/").map(str::to_owned))
            .filter(|name| name.starts_with(|c: char| c.is_ascii_uppercase()) && is_resource(name))
            .collect();
        let remedy = did_you_mean(kind, all.iter().map(String::as_str));
        findings.add(&format!("{path}.types[{at}]"), format!("FHIR R4 has no resource type `{kind}`"), remedy);
    }
    for (kind, sweep) in pull.sweep.iter().filter(|(kind, sweep)| is_resource(kind) && !sweep.param.trim().is_empty()) {
        let known = definitions.search_parameters(kind);
        let dates: Vec<&str> =
            known.iter().filter(|known| known.kind == "date").map(|known| known.code.as_str()).collect();
        if dates.contains(&sweep.param.as_str()) {
            continue;
        }
        let what = if known.iter().any(|known| known.code == sweep.param) { "no search by date" } else { "no search" };
        let problem = format!("{kind} has {what} called `{}`", sweep.param);
        findings.add(&format!("{path}.sweep.{kind}.param"), problem, did_you_mean(&sweep.param, dates));
    }
}

/// What works, and is hardly meant.
pub(super) fn weak(config: &Config, mappings: &Mappings, findings: &mut Findings<'_>) {
    if !config.systems.is_empty() && !findings.places().has("server.instance") {
        let remedy = "choose a name for this installation before anything is sent; it can never be changed";
        findings.add("server", "`instance` is left at \"liaison\", as everywhere", remedy);
    }
    if config.systems.is_empty() {
        findings.add(
            "systems",
            "no EHR is configured: what is pushed goes nowhere",
            "liaison systems probe URL writes one",
        );
    }
    for (at, system) in config.systems.iter().enumerate() {
        one(findings, &format!("systems[{at}]"), system, mappings);
    }
}

fn one(findings: &mut Findings<'_>, path: &str, system: &SystemConfig, mappings: &Mappings) {
    let at = |key: &str| format!("{path}.{key}");
    let address = url::Url::parse(&system.base_url).ok();
    let away = address.is_some_and(|url| {
        let local = match url.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => true,
        };
        url.scheme() == "http" && !local
    });
    if away {
        let what =
            if matches!(system.auth, AuthConfig::None) { "records travel" } else { "records and secrets travel" };
        findings.add(&at("base_url"), format!("{what} readable for everybody on the way"), "use https");
    }
    if system.push.is_empty() && system.pull.is_none() {
        findings.add(&at("name"), "nothing is sent there and nothing read", "add `push` or [systems.pull]");
    } else if system.pull.is_none() {
        let problem = "nothing is read back: what the EHR's staff change is not seen here";
        findings.add(&at("name"), problem, "add [systems.pull]");
    }
    if !findings.places().has(&at("zone")) {
        let remedy = "write `zone = \"Europe/London\"` or wherever it stands";
        findings.add(&at("name"), "times that the EHR sends without a zone are taken as UTC", remedy);
    }
    if system.max_concurrency > 256 {
        findings.add(&at("max_concurrency"), "few EHRs bear so many requests at once", "8 is usual");
    }
    if system.connect_timeout > system.timeout {
        findings.add(&at("connect_timeout"), "this is longer than `timeout`, which ends first", "make it shorter");
    }
    if system.give_up_after < system.timeout {
        let problem = "this is shorter than `timeout`: a person is asked after the first silence";
        findings.add(&at("give_up_after"), problem, "hours are usual");
    }
    if let Some(pull) = &system.pull {
        for (index, kind) in pull.types.iter().enumerate() {
            if !mappings.objects().any(|object| object.resource_type() == kind) {
                let problem =
                    format!("no kind of object is made of {kind}: each one read would be a question to a person");
                findings.add(&at(&format!("pull.types[{index}]")), problem, "leave it out, or add a mapping");
            }
        }
        if pull.page_size > 1000 {
            findings.add(&at("pull.page_size"), "few EHRs give so many at once", "100 is usual");
        }
    }
    if let Some(file) = secret_file(&system.auth)
        && fs::metadata(file).is_ok_and(|about| about.permissions().mode() & 0o077 != 0)
    {
        let key = secret_key(&system.auth).unwrap_or("kind");
        findings.add(&at(&format!("auth.{key}")), "other users of this machine may read this file", "chmod 600");
    }
}

fn secret_file(auth: &AuthConfig) -> Option<&Path> {
    match auth {
        AuthConfig::None => None,
        AuthConfig::Basic { password_file: file, .. }
        | AuthConfig::Bearer { token_file: file, .. }
        | AuthConfig::ClientCredentials { secret_file: file, .. } => file.as_deref(),
        AuthConfig::SmartBackend { key_file, .. } => Some(key_file),
    }
}
