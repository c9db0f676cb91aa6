//! The ledger's file system: everything that it reads, writes, syncs, renames or removes goes through here. An argument,
//! so that tests and the simulation can say "the sync failed", "the disk is full", and "the power went before this write".

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::LedgerError;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// Only for reading; it must exist.
    Read,
    /// For reading and writing; made where it is missing.
    Write,
    /// For reading and writing; empty, whatever was there.
    New,
}

/// A file system's promises (POSIX's): names last once their folder is synced, bytes once their file is.
pub trait Media: Send + Sync + 'static {
    /// Opens a file; a new one may be read by its owner only.
    ///
    /// # Errors
    /// As the system says.
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn MediaFile>>;
    /// What lies directly in a folder, in any order.
    ///
    /// # Errors
    /// As the system says.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;
    /// Whether there is a file or folder of this name.
    fn exists(&self, path: &Path) -> bool;
    /// Makes a folder and those above it that are missing; only its owner may read it.
    ///
    /// # Errors
    /// As the system says.
    fn make_folder(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, replacing what has it.
    ///
    /// # Errors
    /// As the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// As the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder and all in it.
    ///
    /// # Errors
    /// As the system says.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder are on the medium.
    ///
    /// # Errors
    /// As the system says.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Free bytes where this folder is.
    ///
    /// # Errors
    /// As the system says.
    fn free(&self, folder: &Path) -> io::Result<u64>;
    /// Takes the lock of this name until what is given is dropped; `None` where somebody else has it.
    ///
    /// # Errors
    /// As the system says.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>>;
}

/// An open file.
pub trait MediaFile: Send + Sync {
    /// Reads at an offset; fewer bytes than asked for only at the end, none behind it.
    ///
    /// # Errors
    /// As the system says.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all bytes at an offset.
    ///
    /// # Errors
    /// As the system says; how much was written is then unknown.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// How long it is, in bytes.
    ///
    /// # Errors
    /// As the system says.
    fn length(&self) -> io::Result<u64>;
    /// Cuts it to this length, or pads it with NULs.
    ///
    /// # Errors
    /// As the system says.
    fn cut(&self, length: u64) -> io::Result<()>;
    /// Its bytes and its length are on the medium.
    ///
    /// # Errors
    /// The medium did not confirm; what it holds is then unknown.
    fn sync(&self) -> io::Result<()>;
}

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl MediaFile for File {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < into.len() {
            match std::os::unix::fs::FileExt::read_at(self, &mut into[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
        Ok(done)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
    fn cut(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl Media for Disk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn MediaFile>> {
        let mut options = OpenOptions::new();
        options.read(true).mode(0o600);
        match how {
            Open::Read => {}
            Open::Write => _ = options.write(true).create(true).truncate(false),
            Open::New => _ = options.write(true).create(true).truncate(true),
        }
        Ok(Arc::new(options.open(path)?))
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|found| Ok(found?.path())).collect()
    }
    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
    fn free(&self, folder: &Path) -> io::Result<u64> {
        let room = rustix::fs::statvfs(folder)?;
        Ok(room.f_bavail.saturating_mul(room.f_frsize))
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        // A process that has just ended, or is about to become another program, may hold the lock for a moment longer.
        for _ in 0..20 {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Box::new(file))),
                Err(fs::TryLockError::WouldBlock) => std::thread::sleep(std::time::Duration::from_millis(25)),
                Err(fs::TryLockError::Error(source)) => return Err(source),
            }
        }
        Ok(None)
    }
}

/// A file read from a place on, in order.
pub(super) struct Reading {
    file: Arc<dyn MediaFile>,
    at: u64,
}

impl Reading {
    pub(super) fn from(file: Arc<dyn MediaFile>, at: u64) -> io::BufReader<Self> {
        io::BufReader::with_capacity(256 * 1024, Self { file, at })
    }
}

impl io::Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// All of a file.
pub(super) fn read_whole(media: &dyn Media, path: &Path) -> io::Result<Vec<u8>> {
    let file = media.open(path, Open::Read)?;
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut Reading { file, at: 0 }, &mut bytes)?;
    Ok(bytes)
}

/// Exactly so many bytes.
pub(super) fn read_exact(file: &dyn MediaFile, into: &mut [u8], offset: u64) -> io::Result<()> {
    if file.read_at(into, offset)? == into.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Makes a folder whose name lasts.
pub(super) fn folder(media: &dyn Media, path: &Path) -> Result<(), LedgerError> {
    if media.exists(path) {
        return Ok(());
    }
    media.make_folder(path).map_err(|source| io_error("make", path, source))?;
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    above.map_or(Ok(()), |above| sync_folder(media, above))
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(media: &dyn Media, path: &Path) -> Result<(), LedgerError> {
    media.sync_folder(path).map_err(|source| io_error("sync", path, source))
}

/// An I/O error with its place.
pub(super) fn io_error(what: &'static str, path: &Path, source: io::Error) -> LedgerError {
    LedgerError::Io { what, path: path.to_owned(), source }
}
