//! The room's failures. Sentences name places (JSON pointers, mapping files, lines), never values of an object.

use crate::error::{Category, Explained, Finding};

/// A mistake in a mapping, schema, concept map or overlay: what an analyst has to mend.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Mistake {
    /// File below the mappings folder.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong, in a sentence.
    pub what: String,
    /// How to mend it.
    pub hint: String,
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.what)?;
        if !self.hint.is_empty() {
            write!(f, "\n    hint: {}", self.hint)?;
        }
        Ok(())
    }
}

/// What can go wrong with mappings.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The folder's files have mistakes; all of them, sorted by file and line.
    #[error("the mappings have {} mistake(s):\n{}", .0.len(), lines(.0))]
    Mistakes(Vec<Mistake>),
    /// The folder could not be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// What was to be read.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A value of the object has no counterpart in FHIR by this mapping, or must not go to this system.
    #[error("{} value(s) cannot be sent: {}", .0.len(), .0.first().map_or("", |finding| finding.detail.as_str()))]
    Unsayable(Vec<Finding>),
    /// What was to be translated is no object, or no resource of this mapping.
    #[error("{0}")]
    WrongInput(String),
    /// A candidate mapping breaks its laws and was not loaded.
    #[error("the mappings break their laws: {0}")]
    Laws(String),
}

fn lines(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("  {mistake}")).collect::<Vec<_>>().join("\n")
}

impl Explained for MappingError {
    fn code(&self) -> &'static str {
        match self {
            Self::Mistakes(_) => "LIA-MAP-001",
            Self::Unsayable(_) => "LIA-MAP-002",
            Self::WrongInput(_) => "LIA-MAP-010",
            Self::Laws(_) => "LIA-MAP-011",
            Self::Unreadable { .. } => "LIA-MAP-012",
        }
    }

    fn category(&self) -> Category {
        match self {
            Self::Unsayable(_) | Self::WrongInput(_) => Category::Invalid,
            Self::Mistakes(_) | Self::Laws(_) | Self::Unreadable { .. } => Category::Internal,
        }
    }
}
