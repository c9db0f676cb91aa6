//! From the text to the configuration, with all that is wrong in it and not only the first: what serde stumbles over is
//! noted and blanked, then the rest is read. The structs are the only list of keys.

use std::collections::BTreeSet;

use super::{
    Config,
    fault::Fault,
    places::{Entry, Places},
};
use crate::domain::did_you_mean;

/// More than so many are told in another go.
const MOST: usize = 50;

/// In the contract and not built yet.
const LATER: &[&str] = &[
    "server.allowed_hosts",
    "server.tls",
    "server.behind_proxy",
    "server.zone",
    "log",
    "ledger.key_file",
    "auth.session",
    "auth.oidc",
    "auth.issuers",
    "teams",
    "systems.insecure",
];

/// What came of a text.
pub(super) struct Read {
    /// None where too much is wrong.
    pub(super) config: Option<Config>,
    /// The text with what was noted blanked: every place is where it was.
    pub(super) text: String,
    pub(super) faults: Vec<Fault>,
}

/// Reads a text.
pub(super) fn read(text: &str) -> Read {
    let mut read = Read { config: None, text: text.to_owned(), faults: Vec::new() };
    let (_, broken) = toml::de::DeTable::parse_recoverable(text);
    if !broken.is_empty() {
        let places = Places::of(text);
        read.faults = broken
            .iter()
            .take(MOST)
            .map(|error| {
                let at = error.span().map_or(0, |span| span.start);
                let remedy = "a configuration is TOML: key = value, texts in quotes, [sections] in brackets";
                places.fault(at, "", error.message().to_owned(), remedy.to_owned())
            })
            .collect();
        return read;
    }
    let mut gone = BTreeSet::new();
    for _ in 0..MOST {
        let error = match toml::from_str::<Config>(&read.text) {
            Ok(config) => {
                read.config = Some(config);
                break;
            }
            Err(error) => error,
        };
        // What was blanked must not be missed, and leave its list broken: then the rest waits for another go.
        if toml::de::DeTable::parse(&read.text).is_err() {
            break;
        }
        let Some((fault, entry)) = noted(&read.text, text, &error, &gone) else { break };
        read.faults.extend(fault);
        gone.insert(entry.path.clone());
        let (from, to) = extent(&read.text, &entry);
        if from == to {
            break;
        }
        let blank: String = read.text[from..to].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
        read.text.replace_range(from..to, &blank);
    }
    if read.config.is_none() && read.faults.is_empty() {
        let problem = "this cannot be read".to_owned();
        read.faults.push(Places::of(text).fault(0, "", problem, "examples/liaison.toml shows every key".to_owned()));
    }
    read
}

/// What an error says, where, and which entry is to blame. No fault where it only follows from what was blanked.
fn noted(
    text: &str,
    original: &str,
    error: &toml::de::Error,
    gone: &BTreeSet<String>,
) -> Option<(Option<Fault>, Entry)> {
    let (places, shown) = (Places::of(text), Places::of(original));
    let message = error.message();
    let at = error.span().map_or(0, |span| span.start);
    if let Some(name) = quoted(message, "missing field `") {
        let entry = places.entry_at(at, None)?;
        let path = format!("{}.{name}", entry.path);
        // What was of the wrong type, or had another name, was told where it stands.
        let within = format!("{}.", entry.path);
        if gone.iter().any(|gone| gone.strip_prefix(&within).is_some_and(|key| !key.contains('.'))) {
            return Some((None, entry));
        }
        let remedy = format!("add `{name} = …`; examples/liaison.toml shows it");
        return Some((Some(shown.fault(entry.start, &path, format!("`{name}` is missing here"), remedy)), entry));
    }
    if let Some(name) = quoted(message, "unknown field `") {
        let entry = places.entry_at(at, Some(&name)).or_else(|| places.entry_at(at, None))?;
        let mut fault = shown.fault(entry.start, &entry.path, format!("there is no key `{name}` here"), String::new());
        if LATER.contains(&fault.key.as_str()) {
            fault.problem = "this is not available yet".to_owned();
            fault.remedy = "leave it out".to_owned();
            fault.later = true;
        } else {
            fault.remedy = remedy_for(&name, &expected(message));
        }
        return Some((Some(fault), entry));
    }
    let entry = places.entry_at(at, None)?;
    let (problem, remedy) = match quoted(message, "unknown variant `") {
        Some(name) => (format!("`{name}` is none of the values that it can have"), {
            let known = expected(message);
            did_you_mean(&name, known.iter().map(String::as_str))
        }),
        None => (plain(message), "examples/liaison.toml shows every key with its value".to_owned()),
    };
    Some((Some(shown.fault(at.max(entry.start), &entry.path, problem, remedy)), entry))
}

/// An unknown key: the one that was meant, or where a secret belongs.
fn remedy_for(name: &str, known: &[String]) -> String {
    let filed = format!("{name}_file");
    if known.contains(&filed) {
        return format!("secrets come from a file (`{filed}`) or the environment (`{name}_env`), never from here");
    }
    if known.is_empty() { "leave it out".to_owned() } else { did_you_mean(name, known.iter().map(String::as_str)) }
}

/// The text between a mark and the next back-tick.
fn quoted(message: &str, mark: &str) -> Option<String> {
    let rest = message.strip_prefix(mark)?;
    rest.split_once('`').map(|(name, _)| name.to_owned())
}

/// The names that serde expected.
fn expected(message: &str) -> Vec<String> {
    let Some((_, list)) = message.split_once("expected ") else { return Vec::new() };
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Serde's words for types in those of a configuration.
fn plain(message: &str) -> String {
    let Some((got, wanted)) = message.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "))
    else {
        return message.to_owned();
    };
    let wanted = match wanted {
        "a string" | "string" => "a text in quotes",
        "a sequence" => "a list in brackets",
        "a boolean" => "true or false",
        "usize" | "u64" | "u32" | "u16" => "a whole number",
        wanted if wanted.starts_with("struct ") || wanted.contains("map") || wanted.contains("enum") => {
            "a table with keys of its own"
        }
        other => other,
    };
    let got = got.split(' ').next().unwrap_or_default();
    let got = match got {
        "string" => "a text",
        "integer" => "a number",
        "floating" => "a number with a fraction",
        "sequence" => "a list",
        "map" => "a table",
        "boolean" => "true or false",
        other => other,
    };
    format!("this is {got}, and {wanted} is expected")
}

/// From where to where an entry reaches: its own text, or with a header all lines up to the next header that is not below
/// it.
fn extent(text: &str, entry: &Entry) -> (usize, usize) {
    let start = text[..entry.start].rfind('\n').map_or(0, |at| at + 1);
    if !entry.is_block || !text[start..].trim_start().starts_with('[') {
        return (entry.start, entry.end);
    }
    let header = |line: &str| {
        let line = line.split('#').next().unwrap_or_default().trim();
        line.starts_with('[').then(|| line.trim_matches(['[', ']']).trim().to_owned())
    };
    let mut at = start;
    let mut own = None;
    for line in text[start..].split_inclusive('\n') {
        if let Some(name) = header(line) {
            match &own {
                None => own = Some(format!("{name}.")),
                Some(own) if !name.starts_with(own.as_str()) => break,
                Some(_) => {}
            }
        }
        at += line.len();
    }
    (start, at)
}
