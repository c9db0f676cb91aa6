//! The validator as the hook that `rest` calls before a write and for `$validate`.

use std::sync::Arc;

use serde_json::Value;

use super::{Options, Validator};
use crate::{fhir::outcome::Issue, rest::Check};

/// Validates against the base definition, the profiles that a resource claims, and those asked for.
pub struct Checked(pub Arc<Validator>);

impl Check for Checked {
    fn check(&self, resource: &Value, profiles: &[String]) -> Vec<Issue> {
        let report = self.0.validate(resource, &Options::with_profiles(profiles.iter().cloned()));
        report.issues.iter().map(|issue| issue.to_outcome(None)).collect()
    }
}
