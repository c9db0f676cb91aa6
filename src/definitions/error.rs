//! What can go wrong with packages and packs.

use crate::error::{Category, Explained};

/// Failures of this room. They name files, packages and places, never content.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a pack of this program's format, or damaged.
    #[error("this is not a pack that this version of the program can read")]
    Pack,
    /// A package that is not safe to unpack.
    #[error("{package}: refused: {why}")]
    Unsafe {
        /// Which.
        package: String,
        /// What is wrong with it, naming the member.
        why: String,
    },
    /// A package or file that cannot be read as what it should be.
    #[error("{package}: {why}")]
    Unreadable {
        /// Which.
        package: String,
        /// Why.
        why: String,
    },
    /// A package that is not installed.
    #[error("the package {0} is not installed")]
    NotInstalled(String),
    /// A registry could not be reached, or does not have the package.
    #[error("the package registry did not give {package}: {why}")]
    Registry {
        /// Which.
        package: String,
        /// Why.
        why: String,
    },
    /// A checksum is not what the lock file or the registry says.
    #[error("{package}: the checksum is not the one in {place}")]
    Checksum {
        /// Which.
        package: String,
        /// Where the right checksum stands.
        place: String,
    },
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    pub(super) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Io { path, source }
    }

    pub(super) fn unreadable(package: &str, why: impl Into<String>) -> Self {
        Self::Unreadable { package: package.to_owned(), why: why.into() }
    }

    pub(super) fn unsafe_(package: &str, why: impl Into<String>) -> Self {
        Self::Unsafe { package: package.to_owned(), why: why.into() }
    }
}

impl Explained for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Pack => "LIA-DEF-001",
            Self::Unsafe { .. } => "LIA-DEF-002",
            Self::Unreadable { .. } => "LIA-DEF-003",
            Self::NotInstalled(_) => "LIA-DEF-004",
            Self::Registry { .. } => "LIA-DEF-005",
            Self::Checksum { .. } => "LIA-DEF-006",
            Self::Io { .. } => "LIA-DEF-007",
        }
    }

    fn category(&self) -> Category {
        match self {
            Self::Pack | Self::Unsafe { .. } | Self::Unreadable { .. } | Self::Checksum { .. } => Category::Invalid,
            Self::NotInstalled(_) => Category::NotFound,
            Self::Registry { .. } => Category::Retry,
            Self::Io { .. } => Category::Internal,
        }
    }
}
