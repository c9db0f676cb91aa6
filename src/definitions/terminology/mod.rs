//! Terminology as far as it can be decided offline: is a code in a value set, is it a code of its system, what is it
//! called. Three answers: yes, no, and unknown with the reason (a system that is not at hand, a filter that cannot be
//! computed). Never guesses. <https://hl7.org/fhir/R4/terminology-module.html>

mod code_system;
mod filter;
mod rules;
mod server;
mod value_set;

pub use code_system::{CodeSystem, Concept};
pub use rules::Rule;
pub use server::TerminologyServer;
pub use value_set::{Member, ValueSet};
pub(super) use value_set::{Source, compile, whole_system};

/// Whether a code belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// Cannot be decided here.
    Unknown(Why),
}

impl Membership {
    fn known(belongs: bool) -> Self {
        if belongs { Self::Yes } else { Self::No }
    }

    /// Both must hold: a no decides, then an unknown.
    fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::No => Self::No,
            Self::Yes => other(),
            unknown => match other() {
                Self::No => Self::No,
                _ => unknown,
            },
        }
    }

    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            unknown => unknown,
        }
    }

    /// One suffices: a yes decides, then an unknown.
    fn any(all: impl IntoIterator<Item = Self>) -> Self {
        let mut answer = Self::No;
        for one in all {
            match one {
                Self::Yes => return Self::Yes,
                Self::Unknown(_) if answer == Self::No => answer = one,
                _ => {}
            }
        }
        answer
    }
}

/// Why a question about codes has no answer here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The code system is not at hand (SNOMED CT, LOINC, …), or only a part of it.
    #[error("the codes of {0} are not at hand")]
    System(String),
    /// The value set is not at hand.
    #[error("the value set {0} is not at hand")]
    ValueSet(String),
    /// A filter that cannot be computed here.
    #[error("the filter '{0}' cannot be computed here")]
    Filter(String),
    /// A value set includes itself.
    #[error("the value set {0} includes itself")]
    Cycle(String),
    /// The terminology server does not know, or does not answer.
    #[error("the terminology server {0} does not say")]
    Server(String),
    /// The value set's definition says only in words, or with nothing, which codes it has.
    #[error("the value set {0} does not say which codes it has")]
    Undefined(String),
}

#[cfg(test)]
mod tests;
