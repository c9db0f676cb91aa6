//! `liaison validate`: files, folders, NDJSON or standard input against FHIR R4, profiles and packages. Text output like
//! a good compiler's (`text`), or one JSON line a resource. Thin; the work is in `profile` and `definitions`.

mod text;

use std::{
    io::{self, IsTerminal, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::builder::NonEmptyStringValueParser;

use serde_json::json;

use super::{
    CouldNotRun, Exit, Output, Run,
    input::{self, Progress},
};
use crate::{
    clock::{Clock as _, SystemClock},
    definitions::{Definitions, Error, Fetch, PACKAGES, TerminologyServer},
    domain::nearest,
    fhir::{
        Positions,
        json::Limits,
        outcome::{Issue, Severity, outcome},
    },
    profile::{Options, Report, Validator},
};

/// Arguments of `liaison validate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A profile that every resource must meet, beside those that it claims itself
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    profile: Vec<String>,
    /// Definitions to validate with: a package (.tgz or folder), loose conformance resources, or an installed package
    #[arg(long, value_name = "TGZ|DIR|FILE.json|NAME#VERSION", value_parser = NonEmptyStringValueParser::new())]
    package: Vec<String>,
    /// A switch by the name that HL7's validator suite gives it
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = NonEmptyStringValueParser::new())]
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
    for profile in &args.profile {
        known_profile(&definitions, profile)?;
    }
    let validator = Validator::new(definitions);
    let progress = Progress::new();
    let mut told = Told {
        out: io::BufWriter::new(io::stdout()),
        live: io::stdout().is_terminal(),
        output: args.output,
        all: 0,
        bad: 0,
        warned: 0,
    };
    let read = input::each(&args.paths, &progress, |document| {
        let checked = check(&validator, &options, limits, &document);
        // The reader went away (`| head`): nobody is left to tell.
        let written = told.one(&document, &checked, &progress);
        Ok(if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    });
    let (all, bad) = (told.all, told.bad);
    told.end(read.is_ok() || all > 0);
    read?;
    Ok(if bad == 0 { Exit::Good } else { Exit::Bad })
}

/// What was told so far.
struct Told {
    out: io::BufWriter<io::Stdout>,
    /// Somebody looks on: nothing is held back, and the progress bar is not torn.
    live: bool,
    output: Output,
    all: usize,
    bad: usize,
    warned: usize,
}

impl Told {
    fn one(&mut self, document: &input::Document, checked: &Checked, progress: &Progress) -> io::Result<()> {
        self.all += 1;
        self.bad += usize::from(!checked.valid);
        self.warned += usize::from(checked.issues.iter().any(|issue| issue.severity == Severity::Warning));
        match self.output {
            Output::Json => writeln!(self.out, "{}", line(document, checked))?,
            Output::Text if checked.issues.is_empty() => return Ok(()),
            Output::Text => text::write(&mut self.out, document, checked)?,
        }
        if self.live { progress.aside(|| self.out.flush()) } else { Ok(()) }
    }

    fn end(mut self, anything: bool) {
        if self.output == Output::Text && anything {
            let _ = text::summary(&mut self.out, self.all, self.bad, self.warned);
        }
        let _ = self.out.flush();
    }
}

/// Whether a profile is at hand.
fn known_profile(definitions: &Definitions, profile: &str) -> Result<(), CouldNotRun> {
    if definitions.structure(profile).is_some() {
        return Ok(());
    }
    let all: Vec<String> = definitions.list("StructureDefinition").map(|found| found.url).collect();
    let remedy = match nearest(profile, all.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}? Else name its package with --package"),
        None => "name its package with --package (`liaison profiles list` shows what is installed)".to_owned(),
    };
    Err(CouldNotRun::new(format!("the profile {profile} is in none of the packages at hand"), remedy))
}

/// The core pack and what was named.
pub(super) fn definitions(names: &[String]) -> Result<Arc<Definitions>, CouldNotRun> {
    if let Some(name) = names.iter().find(|name| !name.contains('#') && !Path::new(name).exists()) {
        let sentence = format!("{name}: there is no such file or folder");
        return Err(CouldNotRun::new(sentence, "name a .tgz, a folder, or a file with conformance resources"));
    }
    let (definitions, warnings) = Definitions::load(Path::new(PACKAGES), names).map_err(|error| {
        let remedy = match &error {
            Error::NotInstalled(_) => {
                "install it (`liaison profiles install`); `liaison profiles list` shows what is there"
            }
            _ => "name a package (.tgz or folder), or files with conformance resources in JSON",
        };
        CouldNotRun::from_error(&error, remedy)
    })?;
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
    /// Line and column, from 1; none where it is about the whole text.
    at: Option<(usize, usize)>,
    outcome: Issue,
}

/// What came of one document.
struct Checked {
    valid: bool,
    issues: Vec<Placed>,
}

fn check(validator: &Validator, options: &Options, limits: Limits, document: &input::Document) -> Checked {
    match input::read(document, limits) {
        Ok(resource) => placed(&validator.validate(&resource, options), &document.bytes, limits),
        Err(unreadable) => Checked { valid: false, issues: vec![no_json(unreadable)] },
    }
}

/// The one issue of a text that cannot be read.
fn no_json(why: input::Unreadable) -> Placed {
    let mut diagnostics = why.code.to_owned();
    if let Some((line, column)) = why.at {
        diagnostics.push_str(&format!("; line {line}, column {column}"));
    }
    if !why.remedy.is_empty() {
        diagnostics.push_str(&format!("; fix: {}", why.remedy));
    }
    let outcome = Issue {
        severity: Severity::Fatal,
        code: "structure",
        text: why.sentence.clone(),
        expression: String::new(),
        diagnostics: Some(diagnostics),
    };
    Placed {
        severity: Severity::Fatal,
        text: why.sentence,
        expression: String::new(),
        rule: "json".to_owned(),
        profile: None,
        fix: Some(why.remedy.to_owned()).filter(|remedy| !remedy.is_empty()),
        at: why.at,
        outcome,
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
            at: Some(positions.find(&issue.pointer)),
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
