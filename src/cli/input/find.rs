//! Which files the named paths mean. Folders are walked once, whatever links lead back into them; pipes, sockets and
//! devices in a folder are left out and told.

use std::{
    collections::HashSet,
    fs::{self, FileType, Metadata},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use super::{CouldNotRun, Kind, Source, unreadable};

/// What was found, and what is to be said about it.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) sources: Vec<Source>,
    /// What was named and cannot be read.
    pub(super) problems: Vec<CouldNotRun>,
    /// What was left out.
    pub(super) notes: Vec<String>,
    bytes: u64,
    /// Something whose size nobody knows is among it.
    endless: bool,
}

/// One walk through a named folder.
#[derive(Default)]
struct Walk {
    seen: HashSet<PathBuf>,
    links: usize,
    others: std::collections::BTreeMap<String, usize>,
    taken: usize,
}

impl Found {
    /// How many bytes there are, if that is known.
    pub(super) fn size(&self) -> Option<u64> {
        (!self.endless).then_some(self.bytes)
    }

    /// Adds what a path names.
    pub(super) fn add(&mut self, path: &Path) {
        let name = path.to_string_lossy().into_owned();
        if name == "-" {
            self.endless = true;
            self.sources.push(Source { name, path: path.to_owned(), kind: Kind::Stdin });
            return;
        }
        match fs::metadata(path) {
            Err(error) => self.problems.push(unreadable(&name, &error)),
            Ok(about) if about.is_dir() => self.folder(path),
            Ok(about) => match no_file(about.file_type()) {
                None => self.take(path, Some(&about)),
                Some("a named pipe") => self.take(path, None),
                Some(what) => {
                    let sentence = format!("{name}: this is {what}, not a file");
                    self.problems.push(CouldNotRun::new(sentence, "name a file, a folder, or - for standard input"));
                }
            },
        }
    }

    fn take(&mut self, path: &Path, about: Option<&Metadata>) {
        match about {
            Some(about) => self.bytes += about.len(),
            None => self.endless = true,
        }
        let kind = if has_extension(path, &["ndjson", "jsonl"]) { Kind::Lines } else { Kind::One };
        self.sources.push(Source { name: path.to_string_lossy().into_owned(), path: path.to_owned(), kind });
    }

    fn folder(&mut self, path: &Path) {
        let (mut walk, problems) = (Walk::default(), self.problems.len());
        self.walk(path, &mut walk);
        let shown = path.display();
        if walk.links > 0 {
            let links = if walk.links == 1 { "1 link leads" } else { &format!("{} links lead", walk.links) };
            self.notes.push(format!("{shown}: {links} to what was read already; left out"));
        }
        let others: usize = walk.others.values().sum();
        let kinds: Vec<String> = walk.others.iter().take(6).map(|(kind, count)| format!("{count} {kind}")).collect();
        let kinds = kinds.join(", ");
        if walk.taken == 0 && self.problems.len() == problems {
            let holds = if others == 0 { String::new() } else { format!("; it holds {kinds}") };
            self.problems.push(CouldNotRun::new(
                format!("{shown}: no .json or .ndjson file in this folder{holds}"),
                "name a folder or file that holds JSON",
            ));
        } else if others > 0 {
            self.notes.push(format!("{shown}: files that are neither .json nor .ndjson were left out ({kinds})"));
        }
    }

    fn walk(&mut self, path: &Path, walk: &mut Walk) {
        if fs::canonicalize(path).is_ok_and(|real| !walk.seen.insert(real)) {
            walk.links += 1;
            return;
        }
        let entries = fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<PathBuf>>>());
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.problems.push(unreadable(&path.to_string_lossy(), &error)),
        };
        entries.sort();
        for entry in entries {
            self.entry(&entry, walk);
        }
    }

    fn entry(&mut self, entry: &Path, walk: &mut Walk) {
        // The manifest and index of a FHIR package are no resources.
        if entry.file_name().is_some_and(|name| name == "package.json" || name == ".index.json") {
            return;
        }
        let json = has_extension(entry, &["json", "ndjson"]);
        let about = match fs::metadata(entry) {
            Ok(about) => about,
            Err(error) if json => return self.problems.push(unreadable(&entry.to_string_lossy(), &error)),
            Err(_) => return,
        };
        if about.is_dir() {
            return self.walk(entry, walk);
        }
        if !json {
            let hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if !hidden {
                let kind = entry.extension().map_or_else(
                    || "without an ending".to_owned(),
                    |kind| format!(".{}", kind.to_string_lossy().to_lowercase()),
                );
                *walk.others.entry(kind).or_default() += 1;
            }
            return;
        }
        if let Some(what) = no_file(about.file_type()) {
            self.notes.push(format!("{}: this is {what}, not a file; left out", entry.display()));
            return;
        }
        if fs::canonicalize(entry).is_ok_and(|real| !walk.seen.insert(real)) {
            walk.links += 1;
            return;
        }
        walk.taken += 1;
        self.take(entry, Some(&about));
    }
}

/// What something is that is neither file nor folder.
fn no_file(kind: FileType) -> Option<&'static str> {
    if kind.is_fifo() {
        Some("a named pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else if kind.is_char_device() || kind.is_block_device() {
        Some("a device")
    } else {
        None
    }
}

fn has_extension(path: &Path, wanted: &[&str]) -> bool {
    path.extension().is_some_and(|own| wanted.iter().any(|wanted| own.eq_ignore_ascii_case(wanted)))
}
