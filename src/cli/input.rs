//! What a command reads: files, folders and standard input (`-`), as single JSON texts with a name for messages.
//! `f.ndjson:12` is line 12 of an NDJSON file. Refuses paths that do not exist; does not judge the JSON.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use super::CouldNotRun;

/// One JSON text and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// `path`, `path:line` for NDJSON, `-` or `-:line` for standard input.
    pub name: String,
    /// The bytes as they stand there.
    pub bytes: Vec<u8>,
    /// How many lines stand before it in its file, for line numbers in messages.
    pub lines_before: usize,
}

/// Reads all that `paths` name, folders recursively (their `.json` and `.ndjson` files), in a stable order.
///
/// # Errors
/// [`CouldNotRun`] where a path is missing or unreadable, or a folder holds nothing to read.
pub fn documents(paths: &[PathBuf]) -> Result<Vec<Document>, CouldNotRun> {
    let mut found = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            std::io::stdin()
                .read_to_end(&mut bytes)
                .map_err(|error| CouldNotRun::new(format!("standard input cannot be read: {error}"), ""))?;
            let lines = !is_one_value(&bytes);
            split("-", bytes, lines, &mut found);
        } else if path.is_dir() {
            let before = found.len();
            folder(path, &mut found)?;
            if found.len() == before {
                return Err(CouldNotRun::new(
                    format!("{}: no .json or .ndjson file in this folder", path.display()),
                    "name a folder or file that holds JSON",
                ));
            }
        } else {
            file(path, &mut found)?;
        }
    }
    Ok(found)
}

fn folder(path: &Path, found: &mut Vec<Document>) -> Result<(), CouldNotRun> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(path)
        .map_err(|error| unreadable(path, &error))?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    for entry in entries {
        let json = entry.extension().is_some_and(|extension| extension == "json" || extension == "ndjson");
        // The manifest and index of a FHIR package are no resources.
        if entry.file_name().is_some_and(|name| name == "package.json" || name == ".index.json") {
            continue;
        }
        if entry.is_dir() {
            folder(&entry, found)?;
        } else if json {
            file(&entry, found)?;
        }
    }
    Ok(())
}

fn file(path: &Path, found: &mut Vec<Document>) -> Result<(), CouldNotRun> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let lines = path.extension().is_some_and(|extension| extension == "ndjson");
    split(&path.to_string_lossy(), bytes, lines, found);
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> CouldNotRun {
    CouldNotRun::new(format!("{}: cannot be read: {error}", path.display()), "check the path and its permissions")
}

fn split(name: &str, bytes: Vec<u8>, lines: bool, found: &mut Vec<Document>) {
    if !lines {
        found.push(Document { name: name.to_owned(), bytes, lines_before: 0 });
        return;
    }
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if !line.trim_ascii().is_empty() {
            let name = format!("{name}:{}", number + 1);
            found.push(Document { name, bytes: line.to_vec(), lines_before: number });
        }
    }
}

/// Whether standard input holds one value over all its lines; two values, one a line, are NDJSON.
fn is_one_value(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let (first, second) = (lines.next(), lines.next());
    match (first, second) {
        (Some(first), Some(_)) => crate::fhir::read(first).is_err(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_lines_and_names() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        std::fs::write(folder.path().join("b/x.ndjson"), "{}\n\n[1]\n").unwrap();
        std::fs::write(folder.path().join("a.json"), "{\n}").unwrap();
        std::fs::write(folder.path().join("c.txt"), "no").unwrap();
        let found = documents(&[folder.path().to_owned()]).unwrap();
        let ends: Vec<_> = found.iter().map(|document| document.name.rsplit('/').next().unwrap().to_owned()).collect();
        assert_eq!(ends, ["a.json", "x.ndjson:1", "x.ndjson:3"]);
        assert_eq!(found[2].lines_before, 2);
        assert!(documents(&[folder.path().join("missing")]).is_err());
    }

    #[test]
    fn one_value_or_lines() {
        assert!(is_one_value(b"{\n \"a\": 1\n}"));
        assert!(is_one_value(b"{}"));
        assert!(!is_one_value(b"{}\n{}\n"));
    }
}
