//! Bytes that arrive piece by piece (attachments): written and hashed as they come, never whole in memory, and kept
//! under their hash once all are there. What is never finished leaves nothing.

use std::{path::PathBuf, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::{
    Hash, INLINE_LIMIT, Ledger, LedgerError,
    media::{MediaFile, Open, io_error, read_exact},
};

/// Bytes on their way in.
pub struct Receiving {
    ledger: Ledger,
    path: PathBuf,
    file: Arc<dyn MediaFile>,
    hasher: Sha256,
    sha1: Sha1,
    size: u64,
}

/// Bytes that are all there.
#[derive(Clone, Debug)]
pub struct Received {
    /// Their name.
    pub hash: Hash,
    /// How many.
    pub size: u64,
    /// Their SHA-1 in base64, as FHIR's `Attachment.hash` has it.
    pub sha1: String,
    /// The bytes, where they are few: to be given to the proposal that names them. Many are durable already.
    pub inline: Option<Bytes>,
}

impl Ledger {
    /// Begins to receive.
    ///
    /// # Errors
    /// [`LedgerError::DiskFull`], [`LedgerError::Io`].
    pub fn receive(&self) -> Result<Receiving, LedgerError> {
        self.is_ready()?;
        let path = self.core().bodies.temporary(&self.core().options.clock.new_id().to_string());
        let file = self.core().options.media.open(&path, Open::New);
        let file = file.map_err(|source| io_error("make", &path, source))?;
        Ok(Receiving { ledger: self.clone(), path, file, hasher: Sha256::new(), sha1: Sha1::new(), size: 0 })
    }
}

impl Receiving {
    /// The next bytes.
    ///
    /// # Errors
    /// [`LedgerError::DiskFull`], [`LedgerError::Io`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), LedgerError> {
        let core = self.ledger.core();
        core.room_for(bytes.len() as u64)?;
        let written = self.file.write_at(bytes, self.size);
        written.map_err(|source| core.as_disk_full(io_error("write", &self.path, source)))?;
        self.hasher.update(bytes);
        self.sha1.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// How many bytes came so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The name of the bytes that came so far.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::from_bytes(self.hasher.clone().finalize().into())
    }

    /// All are there. Blocks until many are on disk.
    ///
    /// # Errors
    /// [`LedgerError::Io`].
    pub fn finish(mut self) -> Result<Received, LedgerError> {
        let hash = Hash::from_bytes(std::mem::take(&mut self.hasher).finalize().into());
        let sha1 = STANDARD.encode(std::mem::take(&mut self.sha1).finalize());
        let failed = |source| io_error("keep", &self.path, source);
        if self.size <= INLINE_LIMIT as u64 {
            let mut bytes = vec![0; usize::try_from(self.size).unwrap_or_default()];
            read_exact(&*self.file, &mut bytes, 0).map_err(failed)?;
            return Ok(Received { hash, size: self.size, sha1, inline: Some(bytes.into()) });
        }
        self.file.sync().map_err(failed)?;
        self.ledger.core().bodies.keep(&self.path, &hash)?;
        Ok(Received { hash, size: self.size, sha1, inline: None })
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        // Kept bytes have moved away by now; what is left was given up.
        let _ = self.ledger.core().options.media.remove(&self.path);
    }
}
