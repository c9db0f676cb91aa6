//! What can go wrong with an expression. Messages name places in the expression and types, never values of the data.

use crate::error::{Category, Explained};

/// A failure of parsing or evaluating FHIRPath.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is not FHIRPath.
    #[error("not a FHIRPath expression at line {line}, column {column}: {what}")]
    Syntax {
        /// What was expected or found.
        what: String,
        /// Byte offset into the expression.
        offset: usize,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// A function that FHIRPath for R4 does not have.
    #[error("there is no FHIRPath function '{name}()' (line {line}, column {column})")]
    UnknownFunction {
        /// The name as written.
        name: String,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// The specification says that evaluation signals an error here (for example several items where one is allowed).
    #[error("the expression cannot be evaluated here: {what}")]
    Evaluation {
        /// What does not fit, without values of the data.
        what: String,
    },
    /// Too deeply nested, in the expression or while evaluating.
    #[error("the expression nests deeper than the limit of {limit}")]
    Depth {
        /// The limit.
        limit: usize,
    },
    /// More steps than the budget allows.
    #[error("the expression takes more than the allowed {limit} steps")]
    Steps {
        /// The limit.
        limit: u64,
    },
}

impl Error {
    /// Line and column (from 1, in characters) of a byte offset.
    pub(super) fn place(text: &str, offset: usize) -> (usize, usize) {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }

    pub(super) fn syntax(text: &str, offset: usize, what: &str) -> Self {
        let (line, column) = Self::place(text, offset);
        Self::Syntax { what: what.to_owned(), offset, line, column }
    }

    pub(super) fn evaluation(what: impl Into<String>) -> Self {
        Self::Evaluation { what: what.into() }
    }
}

impl Explained for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } | Self::UnknownFunction { .. } => "LIA-FHIRPATH-001",
            Self::Evaluation { .. } => "LIA-FHIRPATH-002",
            Self::Depth { .. } | Self::Steps { .. } => "LIA-FHIRPATH-003",
        }
    }

    fn category(&self) -> Category {
        Category::Invalid
    }
}
