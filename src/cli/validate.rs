//! `liaison validate`: files, folders, NDJSON or standard input against FHIR R4, profiles and packages. Text output like
//! a good compiler's (`text`), or one JSON line a resource. Thin; the work is in `profile` and `definitions`.

mod text;

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::json;

use super::{CouldNotRun, Exit, Output, Run, input};
use crate::{
    clock::{Clock as _, SystemClock},
    definitions::{Definitions, Fetch, PACKAGES, TerminologyServer},
    error::Explained,
    fhir::{
        self, Positions,
        json::Limits,
        outcome::{Issue, Severity, outcome},
    },
    profile::{Options, Report, Validator},
};

/// Arguments of `liaison validate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A profile that every resource must meet, beside those that it claims itself
    #[arg(long, value_name = "URL")]
    profile: Vec<String>,
    /// Definitions to validate with: a package (.tgz or folder), loose conformance resources, or an installed package
    #[arg(long, value_name = "TGZ|DIR|FILE.json|NAME#VERSION")]
    package: Vec<String>,
    /// A switch by the name that HL7's validator suite gives it
    #[arg(long, value_name = "NAME[=VALUE]")]
    option: Vec<String>,
    /// Text for people, or one JSON line a resource
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    /// What to validate: .json, .ndjson, folders, or - for standard input
    #[arg(required = true, value_name = "PATH|-")]
    paths: Vec<PathBuf>,
}

/// The environment's name for a terminology server that is asked what cannot be decided here.
const TERMINOLOGY: &str = "LIAISON_TERMINOLOGY_SERVER";

/// Validates; exit code 1 if anything is invalid. `fetch` reaches the terminology server that the environment names.
///
/// # Errors
/// [`CouldNotRun`] for unknown options, missing paths and unreadable packages.
pub fn run(args: &Args, fetch: Arc<dyn Fetch + Send + Sync>) -> Run {
    let mut options = Options { now: Some(SystemClock.now()), ..Options::with_profiles(args.profile.iter().cloned()) };
    for switch in &args.option {
        options.set(switch).map_err(|error| {
            CouldNotRun::from_error(&error, "`liaison validate --help` and the page of the code tell the names")
        })?;
    }
    let comments = args.option.iter().any(|switch| matches!(switch.as_str(), "allow-comments" | "allow-comments=true"));
    let limits = Limits { comments, ..Limits::default() };
    let definitions = definitions(&args.package)?;
    let definitions = match std::env::var(TERMINOLOGY).ok().filter(|url| !url.is_empty()) {
        Some(url) => {
            let url = url::Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            let url = url.ok_or_else(|| {
                CouldNotRun::new(format!("{TERMINOLOGY} is not an http(s) address"), "give a FHIR R4 base URL")
            })?;
            definitions.with_server(Arc::new(TerminologyServer::new(url, fetch, Arc::new(SystemClock))))
        }
        None => definitions,
    };
    let validator = Validator::new(definitions);
    for profile in &args.profile {
        if validator.definitions().structure(profile).is_none() {
            let sentence = format!("the profile {profile} is in none of the packages at hand");
            return Err(CouldNotRun::new(sentence, "name its package with --package"));
        }
    }
    let documents = input::documents(&args.paths)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let (mut bad, mut warned) = (0_usize, 0_usize);
    for document in &documents {
        let checked = check(&validator, &options, limits, document);
        bad += usize::from(!checked.valid);
        warned += usize::from(checked.issues.iter().any(|issue| issue.severity == Severity::Warning));
        let written = match args.output {
            Output::Json => writeln!(out, "{}", line(document, &checked)),
            Output::Text => text::write(&mut out, document, &checked),
        };
        if written.is_err() {
            // The reader went away (`| head`): nobody is left to tell.
            break;
        }
    }
    if args.output == Output::Text {
        let _ = text::summary(&mut out, documents.len(), bad, warned);
    }
    let _ = out.flush();
    Ok(if bad == 0 { Exit::Good } else { Exit::Bad })
}

/// The core pack and what was named.
pub(super) fn definitions(names: &[String]) -> Result<Arc<Definitions>, CouldNotRun> {
    if let Some(name) = names.iter().find(|name| !name.contains('#') && !Path::new(name).exists()) {
        let sentence = format!("{name}: there is no such file or folder");
        return Err(CouldNotRun::new(sentence, "name a .tgz, a folder, or a file with conformance resources"));
    }
    let (definitions, warnings) = Definitions::load(Path::new(PACKAGES), names)
        .map_err(|error| CouldNotRun::from_error(&error, "`liaison profiles list` shows what is installed"))?;
    warnings.iter().for_each(|warning| eprintln!("liaison: {warning}"));
    Ok(definitions)
}

/// One issue with its place in the text.
struct Placed {
    severity: Severity,
    text: String,
    expression: String,
    rule: String,
    profile: Option<String>,
    fix: Option<String>,
    /// Line and column, from 1.
    at: (usize, usize),
    outcome: Issue,
}

/// What came of one document.
struct Checked {
    valid: bool,
    issues: Vec<Placed>,
}

fn check(validator: &Validator, options: &Options, limits: Limits, document: &input::Document) -> Checked {
    match fhir::json::read_with(&document.bytes, limits) {
        Ok(resource) => placed(&validator.validate(&resource, options), &document.bytes, limits),
        Err(error) => {
            let text = error.sentence().to_owned();
            let outcome = Issue {
                severity: Severity::Fatal,
                code: "structure",
                text: text.clone(),
                expression: String::new(),
                diagnostics: Some(format!("{}; line {}, column {}", error.code(), error.line, error.column)),
            };
            let at = (error.line, error.column);
            let issue = Placed {
                severity: Severity::Fatal,
                text,
                expression: String::new(),
                rule: "json".to_owned(),
                profile: None,
                fix: None,
                at,
                outcome,
            };
            Checked { valid: false, issues: vec![issue] }
        }
    }
}

fn placed(report: &Report, bytes: &[u8], limits: Limits) -> Checked {
    if report.issues.is_empty() {
        return Checked { valid: true, issues: Vec::new() };
    }
    let positions = Positions::of(bytes, limits);
    let mut issues: Vec<Placed> = report
        .issues
        .iter()
        .map(|issue| Placed {
            severity: issue.severity,
            text: issue.text.clone(),
            expression: issue.expression.clone(),
            rule: issue.rule.to_string(),
            profile: issue.profile.clone(),
            fix: issue.fix.clone(),
            at: positions.find(&issue.pointer),
            outcome: issue.to_outcome(Some(&positions)),
        })
        .collect();
    issues.sort_by_key(|issue| issue.at);
    Checked { valid: report.is_valid(), issues }
}

fn line(document: &input::Document, checked: &Checked) -> serde_json::Value {
    let issues: Vec<Issue> = checked.issues.iter().map(|issue| issue.outcome.clone()).collect();
    json!({"input": document.name, "valid": checked.valid, "outcome": outcome(&issues)})
}
