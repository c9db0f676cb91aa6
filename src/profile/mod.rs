//! Validation of FHIR R4 resources against the base specification and profiles. Owns plans compiled from snapshots, the
//! one walk over a `Value`, and what it reports. Refuses network, quoting patients' data, and silence: what cannot be
//! checked is reported. <https://hl7.org/fhir/R4/validation.html>

mod options;
mod primitive;
mod report;
mod temporal;

pub use options::{BestPractice, ContainedPolicy, Options, ReferencePolicy};
pub use primitive::Primitive;
pub use report::{Issue, Report};

use crate::error::{Category, Explained};

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
