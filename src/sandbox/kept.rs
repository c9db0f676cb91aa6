//! What a practice EHR holds, kept in a folder: `history.ndjson`, a commit a line, written and synced before anybody sees
//! it. A line that a crash cut short was never answered, and is cut off. One process at a time.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Value, json};

use crate::{
    fhir::{self, Limits},
    rest::{Method, Version},
};

/// The file in the folder.
const HISTORY: &str = "history.ndjson";

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// Not readable, not writable.
    #[error("{path}: {source}; name a folder of yours with --data")]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another sandbox uses it.
    #[error("{path} is in use by another sandbox; stop that one, or name another folder with --data")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A line that no sandbox wrote.
    #[error(
        "{path}, line {line}: this is no commit of a sandbox; take the line out, or name another folder with --data"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
}

/// The folder in use.
#[derive(Debug)]
pub(super) struct Kept {
    file: File,
    length: u64,
}

impl Kept {
    /// Opens or makes the folder; gives what it holds, commit by commit, oldest first.
    ///
    /// # Errors
    /// [`KeptError`]
    pub(super) fn open(folder: &Path) -> Result<(Self, Vec<Vec<Version>>), KeptError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| KeptError::Io { path, source }
        };
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        let path = folder.join(HISTORY);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(failed(&path))?;
        // A process that has just ended, or is about to become another program, may hold the lock for a moment longer.
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries < 20 => {
                    tries += 1;
                    std::thread::sleep(std::time::Duration::from_millis(25));
                }
                Err(TryLockError::WouldBlock) => return Err(KeptError::InUse { path: folder.to_owned() }),
                Err(TryLockError::Error(source)) => return Err(KeptError::Io { path, source }),
            }
        }
        let mut reader = BufReader::new(&file);
        let (mut commits, mut length, mut sequence) = (Vec::new(), 0_u64, 0_u64);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(failed(&path))?;
            if read == 0 || !line.ends_with(b"\n") {
                break;
            }
            let Some(commit) = commit(&line, &mut sequence) else {
                // Nothing behind it: a write that the disk never finished. Else somebody's hand was here.
                if reader.fill_buf().map_err(failed(&path))?.is_empty() {
                    break;
                }
                return Err(KeptError::Damaged { path, line: commits.len() + 1 });
            };
            length += read as u64;
            commits.push(commit);
        }
        let whole = file.metadata().map_err(failed(&path))?.len();
        if whole > length {
            eprintln!("{}: the last commit was cut short and never answered; it is cut off", path.display());
            file.set_len(length).map_err(failed(&path))?;
        }
        Ok((Self { file, length }, commits))
    }

    /// Writes a commit down. On a failure nothing of it stays.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn append(&mut self, versions: &[Arc<Version>]) -> io::Result<()> {
        let parts: Vec<Value> = versions.iter().map(|version| part(version)).collect();
        let mut line = Value::Array(parts).to_string().into_bytes();
        line.push(b'\n');
        let written = self
            .file
            .seek(SeekFrom::Start(self.length))
            .and_then(|_| self.file.write_all(&line))
            .and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.length += line.len() as u64,
            // If not even this works, the next commit writes over it.
            Err(_) => drop(self.file.set_len(self.length)),
        }
        written
    }
}

fn part(version: &Version) -> Value {
    json!({
        "at": version.at.to_string(), "method": version.method.name(), "type": version.kind,
        "id": version.id, "version": version.version, "body": version.resource,
    })
}

fn commit(line: &[u8], sequence: &mut u64) -> Option<Vec<Version>> {
    // A record as deep as any may be stands two levels deep here.
    let plain = Limits::default();
    let limits = Limits { depth: plain.depth + 2, ..plain };
    let Ok(Value::Array(parts)) = fhir::json::read_with(line, limits) else { return None };
    let one = |mut part: Value| {
        let text = |name: &str| part.get(name).and_then(Value::as_str).map(str::to_owned);
        let (kind, id, version) = (text("type")?, text("id")?, text("version")?);
        let (at, method) = (text("at")?.parse().ok()?, Method::parse(&text("method")?)?);
        let resource = part.get_mut("body").map(Value::take).filter(Value::is_object);
        *sequence += 1;
        Some(Version { kind, id, version, at, method, sequence: *sequence, resource })
    };
    parts.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(id: &str, sequence: u64) -> Arc<Version> {
        let resource = json!({"resourceType": "Basic", "id": id, "x": 1});
        Arc::new(Version {
            kind: "Basic".into(),
            id: id.into(),
            version: "1".into(),
            at: "2026-01-02T03:04:05.678901234Z".parse().unwrap(),
            method: Method::Post,
            sequence,
            resource: Some(resource),
        })
    }

    #[test]
    fn what_was_committed_is_there_again_and_a_torn_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(HISTORY);
        let (mut kept, before) = Kept::open(folder.path()).unwrap();
        assert!(before.is_empty());
        kept.append(&[version("a", 1), version("b", 2)]).unwrap();
        kept.append(&[version("c", 3)]).unwrap();
        assert!(matches!(Kept::open(folder.path()), Err(KeptError::InUse { .. })));
        drop(kept);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (mut kept, commits) = Kept::open(folder.path()).unwrap();
            let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(commits.len(), lines, "cut at {cut}");
            if lines == 2 {
                assert_eq!((commits[1][0].sequence, commits[1][0].at), (3, version("c", 3).at));
            }
            kept.append(&[version("d", 4)]).unwrap();
            drop(kept);
            assert_eq!(Kept::open(folder.path()).unwrap().1.len(), lines + 1, "cut at {cut}");
        }
        std::fs::write(&path, "nonsense\n[]\n").unwrap();
        assert!(matches!(Kept::open(folder.path()), Err(KeptError::Damaged { line: 1, .. })));
    }
}
