//! Invariants: parsed once. The commonest are native: `ele-1`, `ext-1`, `dom-*`, `ref-1`, `txt-*` belong to the walk and
//! are left out here; a few others have an exact native twin (`native.rs`). Everything else is FHIRPath.

use std::sync::Arc;

use super::native::{self, Native};
use crate::{definitions::Constraint, fhirpath::Expression};

/// How an invariant is decided.
#[derive(Debug)]
pub enum Test {
    /// By hand, with the same answers as the expression.
    Native(Native),
    /// By the engine.
    Path(Expression),
}

/// One invariant, ready.
#[derive(Debug)]
pub struct Invariant {
    /// What the definition says.
    pub constraint: Arc<Constraint>,
    /// How it is decided.
    pub test: Test,
}

/// Invariants that the walk decides itself.
const BY_THE_WALK: &[&str] =
    &["ele-1", "ext-1", "dom-2", "dom-3", "dom-4", "dom-5", "dom-6", "ref-1", "txt-1", "txt-2"];

impl Invariant {
    /// Parses; none for those that the walk decides and those without an expression.
    ///
    /// # Errors
    /// A sentence on what cannot be evaluated.
    pub fn compile(constraint: &Arc<Constraint>) -> Result<Option<Self>, String> {
        let Some(expression) = &constraint.expression else { return Ok(None) };
        if BY_THE_WALK.contains(&constraint.key.as_str()) && Self::is_base(constraint) {
            return Ok(None);
        }
        let test = match native::twin(&constraint.key, expression) {
            Some(native) => Test::Native(native),
            None => Test::Path(
                Expression::parse(expression)
                    .map_err(|error| format!("the invariant {} cannot be evaluated: {error}", constraint.key))?,
            ),
        };
        Ok(Some(Self { constraint: Arc::clone(constraint), test }))
    }

    /// Whether FHIR itself states it, so that its key means what we think.
    fn is_base(constraint: &Constraint) -> bool {
        constraint.source.as_deref().is_none_or(|source| {
            let name = source.rsplit('/').next().unwrap_or(source);
            !source.contains("//")
                || (source.starts_with("http://hl7.org/fhir/StructureDefinition/") && !name.contains('-'))
        })
    }
}
