//! The command line (CONTRACT, "Command line"): data on stdout, everything else on stderr; exit 0 good, 1 the input is
//! bad, 2 could not run. One file a command, each with a clap `Args` and `run(args) -> Run`. Commands that need the whole
//! gateway (`serve`, `demo`) are parsed here and run by `app`.

pub mod backup;
pub mod config;
pub mod input;
pub mod ledger;
pub mod mappings;
pub mod profiles;
pub mod push;
pub mod serve;
pub mod systems;
pub mod translate;
pub mod validate;

use crate::error::{Explained, without_secrets};

/// Prints a line on stdout. Where nobody reads on (`| head`), the command ends quietly instead of panicking.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        if writeln!(std::io::stdout(), $($words)*).is_err() {
            std::process::exit(0);
        }
    }};
}
pub(crate) use say;

/// How a command that could run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Exit code 0.
    Good,
    /// Exit code 1: the input is bad; what is wrong was printed.
    Bad,
}

/// A command could not run (exit code 2): one plain sentence, the remedy, a code where there is one.
#[derive(Debug)]
pub struct CouldNotRun {
    /// What is wrong and where, without patient data.
    pub sentence: String,
    /// What to do about it; empty where the sentence says it.
    pub remedy: String,
    /// `LIA-…`, where the failure has a page.
    pub code: Option<&'static str>,
}

impl CouldNotRun {
    /// A failure told in one sentence with its remedy.
    pub fn new(sentence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), remedy: remedy.into(), code: None }
    }

    /// A room's error, with its sources in the sentence.
    pub fn from_error(error: &dyn Explained, remedy: impl Into<String>) -> Self {
        let mut sentence = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            let text = inner.to_string();
            if !sentence.contains(&text) {
                sentence = format!("{sentence}: {text}");
            }
            source = inner.source();
        }
        Self { sentence, remedy: remedy.into(), code: Some(error.code()) }
    }
}

impl std::fmt::Display for CouldNotRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", without_secrets(&self.sentence))?;
        if !self.remedy.is_empty() {
            write!(f, "\n  what to do: {}", without_secrets(&self.remedy))?;
        }
        if let Some(code) = self.code {
            write!(f, "\n  code: {code} (liaison serves the page at /docs/errors/{code})")?;
        }
        Ok(())
    }
}

/// What every command's `run` returns.
pub type Run = Result<Exit, CouldNotRun>;

/// `--output text|json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}
