//! What the ledger asks of the disk and cannot check by itself: that a sync is done, and how much room there is. An
//! argument, so that tests can say "the sync failed" and "the disk is full".

use std::{
    fs::{self, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use super::LedgerError;

/// The disk's promises.
pub trait Media: Send + Sync + 'static {
    /// The file's bytes (and its length) are on the medium.
    ///
    /// # Errors
    /// The medium did not confirm; what it holds is then unknown.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
    /// Free bytes where this folder is.
    ///
    /// # Errors
    /// As the system says.
    fn free(&self, folder: &Path) -> io::Result<u64> {
        let room = rustix::fs::statvfs(folder)?;
        Ok(room.f_bavail.saturating_mul(room.f_frsize))
    }
}

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Media for Disk {}

/// Makes a folder (and those above it) that only its owner may read: bodies hold patient data.
pub(super) fn folder(path: &Path) -> Result<(), LedgerError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| io_error("make", path, source))
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), LedgerError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|source| io_error("sync", path, source))
}

/// An I/O error with its place.
pub(super) fn io_error(what: &'static str, path: &Path, source: io::Error) -> LedgerError {
    LedgerError::Io { what, path: path.to_owned(), source }
}
