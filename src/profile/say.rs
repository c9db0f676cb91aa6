//! How the walk says what it found.

use super::{place::Place, report::Issue, walk::Walk};
use crate::{definitions::Structure, fhir::outcome::Severity};

/// What an issue says beside its place.
pub struct Say {
    /// How bad.
    pub severity: Severity,
    /// FHIR's IssueType.
    pub code: &'static str,
    /// Rule.
    pub rule: std::borrow::Cow<'static, str>,
    /// Sentence.
    pub text: String,
    /// Members that it speaks of; none: all of the element.
    pub about: Vec<String>,
}

impl Say {
    /// An error.
    pub fn error(code: &'static str, rule: &'static str, text: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, rule: rule.into(), text: text.into(), about: Vec::new() }
    }
    /// The same, about members of the element.
    pub fn about<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        Self { about: names.into_iter().map(Into::into).collect(), ..self }
    }
    /// A warning.
    pub fn warning(code: &'static str, rule: &'static str, text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, rule, text) }
    }
    /// Information.
    pub fn information(code: &'static str, rule: &'static str, text: impl Into<String>) -> Self {
        Self { severity: Severity::Information, ..Self::error(code, rule, text) }
    }
    /// An error or a warning.
    pub fn error_if(error: bool, code: &'static str, rule: &'static str, text: impl Into<String>) -> Self {
        let severity = if error { Severity::Error } else { Severity::Warning };
        Self { severity, ..Self::error(code, rule, text) }
    }
}

impl Walk<'_> {
    /// Notes an issue.
    pub fn raise(&mut self, place: &Place<'_>, profile: Option<&Structure>, say: Say) {
        self.raise_with_fix(place, profile, say, None);
    }

    /// Notes an issue with what to write instead.
    pub fn raise_with_fix(&mut self, place: &Place<'_>, profile: Option<&Structure>, say: Say, fix: Option<String>) {
        self.issues.push(Issue {
            severity: say.severity,
            code: say.code,
            text: say.text,
            expression: place.expression(),
            pointer: place.pointer(),
            rule: say.rule,
            profile: profile.map(Structure::canonical),
            fix,
            about: say.about,
        });
    }
}
