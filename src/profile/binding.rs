//! Bindings: whether codes belong to their value set, by strength, and whether codings exist in their systems with the
//! display they state. Systems that are not at hand are information, never an error.
//! <https://hl7.org/fhir/R4/terminologies.html#strength>

use std::sync::{Arc, OnceLock};

use crate::definitions::{Binding, Definitions, Strength, ValueSet};

/// A binding, its value set fetched when first needed.
#[derive(Debug)]
pub struct Bound {
    /// How strictly.
    pub strength: Strength,
    /// Canonical.
    pub canonical: Box<str>,
    /// `maxValueSet`.
    pub max: Option<Box<str>>,
    set: OnceLock<Option<Arc<ValueSet>>>,
}

impl Bound {
    /// Bindings that demand nothing (example, or without a value set) are none.
    pub fn new(binding: &Binding) -> Option<Self> {
        let canonical = binding.value_set.as_deref()?;
        if binding.strength == Strength::Example && binding.max_value_set.is_none() {
            return None;
        }
        Some(Self {
            strength: binding.strength,
            canonical: canonical.into(),
            max: binding.max_value_set.as_deref().map(Into::into),
            set: OnceLock::new(),
        })
    }

    /// The value set, if it is at hand.
    pub fn value_set(&self, definitions: &Definitions) -> Option<&Arc<ValueSet>> {
        self.set.get_or_init(|| definitions.value_set(&self.canonical)).as_ref()
    }
}
