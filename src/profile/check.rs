//! The validator as the hook that `rest` calls before a write and for `$validate`.

use std::sync::Arc;

use serde_json::Value;

use super::{Options, Validator};
use crate::{clock::SharedClock, fhir::outcome::Issue, rest::Check};

/// Validates against the base definition, the profiles that a resource claims, and those asked for; rules that speak of
/// today go by the clock.
pub struct Checked(pub Arc<Validator>, pub SharedClock);

impl Check for Checked {
    fn check(&self, resource: &Value, profiles: &[String]) -> Vec<Issue> {
        let options = Options {
            now: Some(self.1.now()),
            doubtful_data: true,
            ..Options::with_profiles(profiles.iter().cloned())
        };
        let report = self.0.validate(resource, &options);
        report.issues.iter().map(|issue| issue.to_outcome(None)).collect()
    }
}
