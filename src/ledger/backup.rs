//! A whole copy of a ledger, also of one that is at work: the log first, then the bodies, so that whatever the copied log
//! names is there; what was not confirmed at that moment is left out. The copy is verified before it counts.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{Audit, Hash, LedgerError, Verified, log, media::Disk, media::Media as _, media::folder, media::io_error};

/// What a copy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Entries, all verified.
    pub entries: u64,
    /// Hash of the last one: worth keeping elsewhere.
    pub head: Option<Hash>,
}

/// Copies the ledger in `from` to `to`, which must be empty or missing. Derived files (folds, index) are not copied: the
/// next start makes them.
///
/// # Errors
/// [`LedgerError::Io`] where something cannot be read or written or `to` is not empty, [`LedgerError::Damaged`] where the
/// ledger is.
pub fn backup(from: &Path, to: &Path) -> Result<Copied, LedgerError> {
    let files = log::files(&Disk, from)?;
    if fs::read_dir(to).is_ok_and(|mut found| found.next().is_some()) {
        let source = io::Error::new(io::ErrorKind::AlreadyExists, "the folder is not empty; name a new one");
        return Err(io_error("make a backup in", to, source));
    }
    for made in [to.to_owned(), to.join("log"), to.join("bodies"), to.join("bodies/files")] {
        folder(&Disk, &made)?;
    }
    for (_, path) in &files {
        copy(path, &to.join("log").join(path.file_name().unwrap_or_default()))?;
    }
    for path in listed(&from.join("bodies"))?.into_iter().filter(|path| path.extension().is_some()) {
        copy(&path, &to.join("bodies").join(path.file_name().unwrap_or_default()))?;
    }
    for shelf in listed(&from.join("bodies/files"))? {
        let made = to.join("bodies/files").join(shelf.file_name().unwrap_or_default());
        folder(&Disk, &made)?;
        for path in listed(&shelf)? {
            copy(&path, &made.join(path.file_name().unwrap_or_default()))?;
        }
        Disk.sync_folder(&made).map_err(|source| io_error("sync", &made, source))?;
    }
    for made in [to.join("log"), to.join("bodies"), to.join("bodies/files"), to.to_owned()] {
        Disk.sync_folder(&made).map_err(|source| io_error("sync", &made, source))?;
    }
    let found = Audit::of(to)?.verify()?;
    cut_unconfirmed(to, &found)?;
    let Verified { entries, head, bad, .. } = found;
    bad.map_or(Ok(Copied { entries, head }), Err)
}

/// What was being written while the log was copied is no part of the copy.
fn cut_unconfirmed(to: &Path, found: &Verified) -> Result<(), LedgerError> {
    let Some((_, last)) = log::files(&Disk, to)?.pop().filter(|_| found.unconfirmed > 0) else { return Ok(()) };
    let failed = |source| io_error("cut", &last, source);
    let file = fs::OpenOptions::new().write(true).open(&last).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    file.set_len(length.saturating_sub(found.unconfirmed)).and_then(|()| file.sync_all()).map_err(failed)
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, LedgerError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let found = fs::read_dir(folder).and_then(|found| found.map(|entry| Ok(entry?.path())).collect());
    found.map_err(|source| io_error("read", folder, source))
}

/// Copies a file; durable on return. Only its owner may read the copy.
fn copy(from: &Path, to: &Path) -> Result<(), LedgerError> {
    let copied = fs::copy(from, to).and_then(|_| File::open(to)?.sync_all());
    copied.map_err(|source| io_error("copy", from, source))
}
