//! What is wrong with a configuration, told so that it can be mended: file, line, column, key, the line itself, remedy.
//! What looks like a secret is never shown, not even in the line that it should not have been written into.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::error::{Category, Explained, without_secrets};

/// One fault, or one weak place.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
    /// The key, dotted; empty where the text is no TOML.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
    /// The line as it may be shown.
    #[serde(skip)]
    pub shown: String,
    /// In the contract, not built yet.
    #[serde(skip)]
    pub later: bool,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.key.is_empty() { String::new() } else { format!("{}: ", self.key) };
        write!(f, "line {}, column {}: {key}{}", self.line, self.column, without_secrets(&self.problem))?;
        if !self.shown.trim().is_empty() {
            let number = self.line.to_string();
            let pad = " ".repeat(number.len());
            let before = self.shown.get(..self.column - 1).map_or(0, |before| before.chars().count());
            let caret = " ".repeat(before);
            write!(f, "\n{pad} |\n{number} | {}\n{pad} | {caret}^", self.shown)?;
        }
        if !self.remedy.is_empty() {
            write!(f, "\n  what to do: {}", without_secrets(&self.remedy))?;
        }
        Ok(())
    }
}

/// A configuration's text and file, kept so that whatever is found later has its place.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// Its text; what could not be read is blanked.
    pub text: Arc<str>,
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: the configuration cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// All that is wrong with it, in the order of its lines.
    #[error("{}", told(.path, .faults))]
    Faults {
        /// The file.
        path: PathBuf,
        /// At least one.
        faults: Vec<Fault>,
    },
}

fn told(path: &Path, faults: &[Fault]) -> String {
    match faults {
        [one] => format!("{}, {one}", path.display()),
        many => {
            let all: Vec<String> = many.iter().map(ToString::to_string).collect();
            format!("{} has {} faults:\n\n{}\n", path.display(), many.len(), all.join("\n\n"))
        }
    }
}

impl Explained for ConfigError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "LIA-CONF-001",
            Self::Faults { faults, .. } if faults.iter().all(|fault| fault.later) => "LIA-CONF-003",
            Self::Faults { .. } => "LIA-CONF-002",
        }
    }
    fn category(&self) -> Category {
        match self {
            Self::Faults { faults, .. } if faults.iter().all(|fault| fault.later) => Category::NotAvailable,
            _ => Category::Invalid,
        }
    }
}

/// A line as it may be shown: without the values of keys that look like secrets, without passwords in addresses.
pub(super) fn shown(line: &str) -> String {
    let value = line.split_once('=');
    let secret = value.is_some_and(|(key, _)| {
        let key = key.trim().to_lowercase();
        let word = ["password", "passwd", "secret", "token", "key"].iter().any(|word| key.contains(word));
        let named = ["_file", "_env", "_url", "_id"].iter().any(|end| key.ends_with(end));
        word && !named
    });
    match value {
        Some((key, _)) if secret => format!("{key}= …"),
        _ => without_secrets(line).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn secrets_in_the_file_are_not_repeated() {
        assert_eq!(shown("password = \"hunter2\""), "password = …");
        assert_eq!(shown("password_file = \"secrets/p\""), "password_file = \"secrets/p\"");
        assert_eq!(shown("base_url = \"https://u:hunter2@h/fhir\""), "base_url = \"https://…@h/fhir\"");
    }
}
