//! Validation of FHIR R4 resources against the base specification and profiles. Owns plans compiled from snapshots, the
//! one walk over a `Value`, and what it reports. Refuses network, quoting patients' data, and silence: what cannot be
//! checked is reported. <https://hl7.org/fhir/R4/validation.html>

mod anchors;
mod base;
mod bearing;
mod binding;
mod bundle;
mod bundle_rules;
pub mod check;
mod codes;
mod conformance;
mod elements;
mod extension;
mod invariant;
mod measure;
mod measure_report;
mod native;
mod new_faults;
mod options;
mod overlay;
mod particular;
mod place;
mod primitive;
mod questionnaire;
mod reference;
mod report;
mod resolve;
mod resource;
mod say;
pub mod search;
mod suggest;
mod temporal;
mod types;
mod walk;

pub use bearing::Bearing;
pub use new_faults::new_faults;
pub use options::{BestPractice, ContainedPolicy, Options, ReferencePolicy};
pub use primitive::Primitive;
pub use report::{Issue, Report};

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use crate::{
    definitions::Definitions,
    error::{Category, Explained},
    fhir::Value,
};
use overlay::ProfilePlan;
use types::Types;
use walk::Walk;

/// Names of unknown profiles are remembered up to this many, so that nobody can fill the memory with them.
const MOST_PROFILES: usize = 4096;

/// Validates resources against the definitions at hand. Plans are compiled when first needed and kept; one validator
/// serves many threads.
pub struct Validator {
    types: Types,
    profiles: RwLock<HashMap<String, Option<Arc<ProfilePlan>>>>,
}

impl Validator {
    /// A validator over these definitions; cheap, nothing is compiled yet.
    #[must_use]
    pub fn new(definitions: Arc<Definitions>) -> Self {
        Self { types: Types::new(definitions), profiles: RwLock::default() }
    }

    /// The definitions that it validates against.
    #[must_use]
    pub fn definitions(&self) -> &Arc<Definitions> {
        &self.types.definitions
    }

    /// The types of the definitions, for evaluating FHIRPath.
    #[must_use]
    pub fn model(&self) -> &dyn crate::fhirpath::Model {
        &self.types
    }

    /// Validates one resource against its type, the profiles that it claims, and those that were asked for. Linear in
    /// the size of the resource; does no I/O.
    #[must_use]
    pub fn validate(&self, resource: &Value, options: &Options) -> Report {
        let mut walk = Walk::new(self, resource, options);
        walk.root_resource(resource);
        walk.finish()
    }

    /// The plan of a profile (or a type, which demands nothing beyond itself), compiled once.
    pub(crate) fn profile_plan(&self, canonical: &str) -> Option<Arc<ProfilePlan>> {
        if let Some(known) = self.profiles.read().unwrap_or_else(PoisonError::into_inner).get(canonical) {
            return known.clone();
        }
        let structure = self.types.definitions.structure(canonical);
        let made = structure.map(|structure| Arc::new(ProfilePlan::compile(&self.types, structure)));
        let mut profiles = self.profiles.write().unwrap_or_else(PoisonError::into_inner);
        if profiles.len() < MOST_PROFILES || made.is_some() {
            profiles.insert(canonical.to_owned(), made.clone());
        }
        made
    }

    /// Whether a resource conforms to a profile; none if the profile is not known.
    pub(crate) fn conforms(&self, resource: &Value, profile: &str, options: &Options) -> Option<bool> {
        self.types.definitions.structure(profile)?;
        let options = Options { profiles: vec![profile.to_owned()], ..options.clone() };
        Some(self.validate(resource, &options).is_valid())
    }
}

/// Why a validation could not be asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidateError {
    /// No such switch.
    #[error("there is no validation option '{name}'")]
    UnknownOption {
        /// As given.
        name: String,
    },
    /// The switch does not take this value.
    #[error("the validation option '{name}' takes one of: {allowed}")]
    OptionValue {
        /// The switch.
        name: String,
        /// What it takes.
        allowed: &'static str,
    },
}

impl Explained for ValidateError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownOption { .. } => "LIA-VAL-001",
            Self::OptionValue { .. } => "LIA-VAL-002",
        }
    }
    fn category(&self) -> Category {
        Category::Invalid
    }
}

#[cfg(test)]
mod tests;
