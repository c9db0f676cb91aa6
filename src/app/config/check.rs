//! What must hold of a configuration by itself, whatever machine it is on: values in their range, names once, keys that do
//! not contradict each other. Pure.

use std::collections::BTreeMap;

use url::{Host, Url};

use super::{AuthMode, Config, fault::Fault, places::Places};
use crate::{
    domain::{ObjectId, nearest},
    ehr::{AuthConfig, Period, PullConfig, SystemConfig},
};

/// Collects faults with their places.
pub(super) struct Findings<'t> {
    places: Places<'t>,
    pub(super) faults: Vec<Fault>,
}

impl<'t> Findings<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { places: Places::of(text), faults: Vec::new() }
    }

    pub(super) fn places(&self) -> &Places<'t> {
        &self.places
    }

    pub(super) fn add(&mut self, path: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        let at = self.places.offset(path);
        self.faults.push(self.places.fault(at, path, problem.into(), remedy.into()));
    }

    fn later(&mut self, path: &str, what: &str) {
        self.add(path, format!("{what} is not available yet"), "leave it out");
        if let Some(fault) = self.faults.last_mut() {
            fault.later = true;
        }
    }

    /// A text that must say something.
    fn said(&mut self, path: &str, text: &str) -> bool {
        if text.trim().is_empty() {
            self.add(path, "this is empty", "write a value, or leave the key out");
            return false;
        }
        true
    }

    fn at_least(&mut self, path: &str, value: u64, least: u64) {
        if value < least {
            self.add(path, format!("{value} is too little to work with"), format!("write at least {least}"));
        }
    }

    /// A length of time that something is waited for.
    fn patience(&mut self, path: &str, period: Period) {
        const YEAR_S: u64 = 366 * 86_400;
        if period.get().is_zero() {
            self.add(path, "no time at all", "write a length of time such as \"30s\"");
        } else if period.get().as_secs() > YEAR_S {
            self.add(
                path,
                "this is longer than a year",
                "write a length of time such as \"30s\"; m are minutes, h hours",
            );
        }
    }

    /// An address of a server; none where it is none.
    pub(super) fn address(&mut self, path: &str, text: &str) -> Option<Url> {
        let example = "write it like https://ehr.example.com/fhir";
        let Ok(url) = Url::parse(text) else {
            self.add(path, "this is no address of a server", example);
            return None;
        };
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            self.add(path, "this is no http or https address", example);
            return None;
        }
        if !url.username().is_empty() || url.password().is_some() {
            let remedy = "take them out: secrets come from files or the environment (see [systems.auth])";
            self.add(path, "an address must not carry a user name or password", remedy);
            return None;
        }
        Some(url)
    }
}

/// Checks the configuration.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    server(config, findings);
    match config.auth.mode {
        AuthMode::None => {}
        AuthMode::Keys => findings.later("auth.mode", "mode = \"keys\""),
        AuthMode::Oauth2 => findings.later("auth.mode", "mode = \"oauth2\""),
        AuthMode::Required => findings.later("auth.mode", "mode = \"required\""),
    }
    if config.ledger.url.is_some() {
        findings.later("ledger.url", "a database as store");
    }
    if !config.webhooks.is_empty() {
        findings.later("webhooks[0]", "[[webhooks]]");
    }
    let texts = [
        ("ledger.path", Some(&config.ledger.path)),
        ("mappings.dir", config.mappings.dir.as_ref()),
        ("profiles.dir", config.profiles.dir.as_ref()),
    ];
    for (path, text) in texts {
        if let Some(text) = text {
            findings.said(path, &text.to_string_lossy());
        }
    }
    once(findings, "profiles.packages", config.profiles.packages.iter().map(String::as_str));
    if let Some(url) = &config.profiles.terminology_server {
        findings.address("profiles.terminology_server", url);
    }
    systems(config, findings);
}

fn server(config: &Config, findings: &mut Findings<'_>) {
    let server = &config.server;
    if config.auth.mode == AuthMode::None && !server.listen.ip().is_loopback() {
        let problem = "with auth.mode = \"none\" only a loopback address may be listened on";
        findings.add("server.listen", problem, "write 127.0.0.1 (or [::1]) and the port");
    }
    if ObjectId::new(&server.instance).is_err() {
        let problem = "this cannot be part of our identifiers";
        findings.add("server.instance", problem, "write 1 to 64 of the characters A-Z a-z 0-9 . -");
    }
    if server.max_body.0 < 1024 {
        findings.add("server.max_body", "hardly any record is as small as that", "write for example \"32 MiB\"");
    }
}

/// Each of a list stands there once, and says something.
fn once<'a>(findings: &mut Findings<'_>, path: &str, items: impl Iterator<Item = &'a str>) {
    let mut seen = BTreeMap::new();
    for (at, item) in items.enumerate() {
        let place = format!("{path}[{at}]");
        if findings.said(&place, item) && seen.insert(item, at).is_some() {
            findings.add(&place, format!("`{item}` stands here twice"), "take one of them out");
        }
    }
}

fn systems(config: &Config, findings: &mut Findings<'_>) {
    let (mut names, mut bases) = (BTreeMap::new(), BTreeMap::new());
    for (at, system) in config.systems.iter().enumerate() {
        let path = format!("systems[{at}]");
        if system.name.as_str() == "local" {
            let problem = "\"local\" is the gateway's own name";
            findings.add(&format!("{path}.name"), problem, "choose another");
        }
        if let Some(other) = names.insert(system.name.as_str().to_lowercase(), at) {
            let line = line_of(findings, &format!("systems[{other}].name"));
            let problem = format!("\"{}\" stands twice; the other one is in line {line}", system.name);
            findings.add(&format!("{path}.name"), problem, "give each system its own name");
        }
        if let Some(base) = base(findings, &format!("{path}.base_url"), config, system)
            && let Some(other) = bases.insert(base, at)
        {
            let line = line_of(findings, &format!("systems[{other}].base_url"));
            let problem = format!("two systems have this base; the other one is in line {line}");
            let remedy = "one EHR is one system: take one block out, or everything is sent there twice";
            findings.add(&format!("{path}.base_url"), problem, remedy);
        }
        one_system(findings, &path, system);
    }
}

fn line_of(findings: &Findings<'_>, path: &str) -> usize {
    let places = findings.places();
    places.fault(places.offset(path), path, String::new(), String::new()).line
}

/// The base in one spelling, for comparing.
fn base(findings: &mut Findings<'_>, path: &str, config: &Config, system: &SystemConfig) -> Option<String> {
    let url = findings.address(path, &system.base_url)?;
    if url.query().is_some() || url.fragment().is_some() {
        findings.add(path, "a base has no ? and no #", "write the address up to there");
        return None;
    }
    let way = url.path().trim_end_matches('/');
    if way.ends_with("/metadata") {
        findings.add(path, "this is the EHR's statement, not its base", "leave /metadata out");
        return None;
    }
    let (is_local, host) = match url.host()? {
        Host::Ipv4(address) if address.is_loopback() => (true, "loopback".to_owned()),
        Host::Ipv6(address) if address.is_loopback() => (true, "loopback".to_owned()),
        Host::Domain("localhost") => (true, "loopback".to_owned()),
        other => (false, other.to_string()),
    };
    let port = url.port_or_known_default()?;
    if is_local && port == config.server.listen.port() {
        let problem = "this is the gateway's own address ([server] listen)";
        findings.add(path, problem, "name the EHR's base, or let the gateway listen on another port");
        return None;
    }
    Some(format!("{}://{host}:{port}{way}", url.scheme()))
}

fn one_system(findings: &mut Findings<'_>, path: &str, system: &SystemConfig) {
    let at = |key: &str| format!("{path}.{key}");
    if jiff::tz::TimeZone::get(&system.zone).is_err() {
        let names: Vec<String> = jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
        let remedy = match nearest(&system.zone, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "write a name of the IANA database, such as \"Europe/London\" or \"UTC\"".to_owned(),
        };
        findings.add(&at("zone"), format!("there is no time zone `{}`", system.zone), remedy);
    }
    once(findings, &at("push"), system.push.iter().map(crate::domain::ObjectName::as_str));
    for (object, urls) in &system.profiles {
        let here = format!("{path}.profiles.{object}");
        once(findings, &here, urls.iter().map(String::as_str));
        if urls.is_empty() {
            findings.add(&here, "no profile is named", "name one, or leave the key out");
        }
        if !system.push.contains(object) {
            let problem = format!("`{object}` has profiles here and is not sent there");
            findings.add(&here, problem, "add it to `push`, or leave the profiles out");
        }
    }
    findings.at_least(&at("max_concurrency"), system.max_concurrency as u64, 1);
    findings.at_least(&at("max_response_bytes"), system.max_response_bytes as u64, 1024);
    findings.at_least(&at("max_backlog"), system.max_backlog as u64, 1);
    if let Some(most) = system.max_document_bytes {
        findings.at_least(&at("max_document_bytes"), most, 1);
    }
    for (key, period) in [
        ("timeout", system.timeout),
        ("connect_timeout", system.connect_timeout),
        ("give_up_after", system.give_up_after),
        ("settle_within", system.settle_within),
    ] {
        findings.patience(&at(key), period);
    }
    if let Some(pull) = &system.pull {
        pulled(findings, &at("pull"), pull);
    }
    auth(findings, &at("auth"), &system.auth);
}

fn pulled(findings: &mut Findings<'_>, path: &str, pull: &PullConfig) {
    findings.patience(&format!("{path}.every"), pull.every);
    findings.at_least(&format!("{path}.page_size"), pull.page_size as u64, 1);
    if pull.types.is_empty() {
        let remedy = "name the resource types to be read, or leave [systems.pull] out";
        findings.add(&format!("{path}.types"), "nothing is named, so nothing would be read", remedy);
    }
    once(findings, &format!("{path}.types"), pull.types.iter().map(String::as_str));
    for (kind, sweep) in &pull.sweep {
        let here = format!("{path}.sweep.{kind}");
        if !pull.types.contains(kind) {
            let problem = format!("`{kind}` is swept here and is not among `types`");
            findings.add(&here, problem, "add it to `types`, or leave the sweep out");
        }
        findings.said(&format!("{here}.param"), &sweep.param);
    }
}

fn auth(findings: &mut Findings<'_>, path: &str, auth: &AuthConfig) {
    match auth {
        AuthConfig::None => {
            // Serde does not look at what stands beside a kind that has no keys.
            for key in findings.places().keys(path).into_iter().filter(|key| key != "kind") {
                let problem = format!("kind = \"none\" and `{key}` contradict each other");
                let remedy = "name the kind that it belongs to (basic, bearer, client-credentials, smart-backend), or leave it out";
                findings.add(&format!("{path}.{key}"), problem, remedy);
            }
        }
        AuthConfig::Basic { username, password_file, password_env } => {
            if findings.said(&format!("{path}.username"), username) && username.contains(':') {
                let problem = "a user name of HTTP Basic has no colon";
                findings.add(&format!("{path}.username"), problem, "write the name alone");
            }
            secret(findings, path, "password", password_file.is_some(), password_env.as_deref());
        }
        AuthConfig::Bearer { token_file, token_env } => {
            secret(findings, path, "token", token_file.is_some(), token_env.as_deref());
        }
        AuthConfig::ClientCredentials { client_id, secret_file, secret_env, token_url, scope } => {
            secret(findings, path, "secret", secret_file.is_some(), secret_env.as_deref());
            client(findings, path, client_id, token_url.as_deref(), scope);
        }
        AuthConfig::SmartBackend { client_id, key_file, key_id, token_url, scope } => {
            findings.said(&format!("{path}.key_file"), &key_file.to_string_lossy());
            if let Some(id) = key_id {
                findings.said(&format!("{path}.key_id"), id);
            }
            client(findings, path, client_id, token_url.as_deref(), scope);
        }
    }
}

fn client(findings: &mut Findings<'_>, path: &str, id: &str, token_url: Option<&str>, scope: &str) {
    findings.said(&format!("{path}.client_id"), id);
    findings.said(&format!("{path}.scope"), scope);
    if let Some(url) = token_url {
        findings.address(&format!("{path}.token_url"), url);
    }
}

/// A secret has one place.
fn secret(findings: &mut Findings<'_>, path: &str, what: &str, file: bool, variable: Option<&str>) {
    match (file, variable) {
        (true, Some(_)) => {
            let problem = format!("{what}_file and {what}_env contradict each other");
            findings.add(&format!("{path}.{what}_env"), problem, "name the file or the variable, not both");
        }
        (false, None) => {
            let problem = format!("the {what} is missing");
            let remedy = format!("name its file (`{what}_file`) or its environment variable (`{what}_env`)");
            findings.add(path, problem, remedy);
        }
        (false, Some(name)) if name.is_empty() || name.contains(['=', '\0']) => {
            let problem = "this is no name of an environment variable";
            findings.add(&format!("{path}.{what}_env"), problem, "write for example \"EHR_SECRET\"");
        }
        _ => {}
    }
}
