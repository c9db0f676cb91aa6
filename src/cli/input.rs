//! What a command reads: files, folders and standard input (`-`), as single JSON texts with a name for messages.
//! `f.ndjson:12` is line 12 of an NDJSON file. NDJSON is read line by line and never held whole. What cannot be read
//! stops nothing: the rest is read, and then the command says what it could not read. Does not judge the JSON.

mod find;
mod open;
mod progress;

use std::{
    io::{BufRead, BufReader, Read},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

pub use progress::Progress;

use super::CouldNotRun;
use crate::{
    error::Explained,
    fhir::{self, Limits, Value, foreign, json::Fault},
};

/// One JSON text and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// `path`, `path:line` for NDJSON, `-` or `-:line` for standard input.
    pub name: String,
    /// The file, or `-`.
    pub file: String,
    /// The bytes as they stand there.
    pub bytes: Vec<u8>,
    /// How many lines stand before it in its file, for line numbers in messages.
    pub lines_before: usize,
}

/// Why a text could not be read as JSON: what it is instead, or where it goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// A plain sentence without the place.
    pub sentence: String,
    /// What to do; empty where the sentence says it.
    pub remedy: &'static str,
    /// `LIA-…`.
    pub code: &'static str,
    /// Line and column in the document, from 1; none where the whole text is something else.
    pub at: Option<(usize, usize)>,
}

impl Unreadable {
    /// Sentence, place in the file, remedy and code in one line.
    #[must_use]
    pub fn line(&self, document: &Document) -> String {
        let at = self.at.map(|(line, column)| format!("line {}, column {column}: ", line + document.lines_before));
        let remedy = if self.remedy.is_empty() { String::new() } else { format!("; {}", self.remedy) };
        format!("{}: {}{}{remedy} ({})", document.file, at.unwrap_or_default(), self.sentence, self.code)
    }
}

/// Reads a document's JSON.
///
/// # Errors
/// [`Unreadable`], which names what the text is where it is no JSON at all.
pub fn read(document: &Document, limits: Limits) -> Result<Value, Unreadable> {
    let error = match fhir::json::read_with(&document.bytes, limits) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if let Some(foreign) = foreign(&document.bytes) {
        return Err(Unreadable { sentence: foreign.sentence(), remedy: foreign.remedy, code: error.code(), at: None });
    }
    let remedy = match error.fault {
        Fault::Syntax("the text is not UTF-8") => {
            "store it as UTF-8; where it is Latin-1 or Windows-1252: iconv -f WINDOWS-1252 -t UTF-8 FILE"
        }
        Fault::Syntax(_) if starts_with_a_value(&document.bytes, limits) => {
            "several values, one a line, are NDJSON: name the file .ndjson"
        }
        _ => "",
    };
    let at = Some((error.line, error.column));
    Err(Unreadable { sentence: error.sentence().to_owned(), remedy, code: error.code(), at })
}

/// Whether the first line is a whole value, and there are more.
fn starts_with_a_value(bytes: &[u8], limits: Limits) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let first = lines.next().unwrap_or_default();
    lines.next().is_some() && first.starts_with(b"{") && fhir::json::read_with(first, limits).is_ok()
}

/// Gives all that `paths` name to `work`, one JSON text after the other, folders recursively (their `.json` and
/// `.ndjson` files), in a stable order; `Break` ends it.
///
/// # Errors
/// [`CouldNotRun`] after everything else was given, where a path is missing or unreadable, or a folder holds nothing to
/// read; whatever `work` fails with, at once.
pub fn each(
    paths: &[PathBuf],
    progress: &Progress,
    mut work: impl FnMut(Document) -> Result<ControlFlow<()>, CouldNotRun>,
) -> Result<(), CouldNotRun> {
    let mut found = find::Found::default();
    paths.iter().for_each(|path| found.add(path));
    progress.expect(found.size());
    let mut problems = std::mem::take(&mut found.problems);
    for source in &found.sources {
        match of(source, progress, &mut work) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => break,
            Err(Stop::Unread(problem)) => problems.push(problem),
            Err(Stop::Failed(failure)) => return Err(failure),
        }
    }
    progress.finish();
    for note in &found.notes {
        eprintln!("note: {note}");
    }
    match problems.len() {
        0 => Ok(()),
        1 => Err(problems.remove(0)),
        count => {
            let all: Vec<String> = problems.iter().map(|problem| problem.sentence.clone()).collect();
            let sentence = format!("{count} things could not be read:\n  {}", all.join("\n  "));
            let remedy = "check these paths and their permissions; all else was read";
            Err(CouldNotRun::new(sentence, remedy))
        }
    }
}

/// The one document of a path.
///
/// # Errors
/// [`CouldNotRun`] where it cannot be read or there are several.
pub fn only(path: &Path) -> Result<Document, CouldNotRun> {
    let mut all = Vec::new();
    each(&[path.to_owned()], &Progress::hidden(), |document| {
        all.push(document);
        Ok(if all.len() > 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    match all.len() {
        1 => Ok(all.remove(0)),
        _ => Err(CouldNotRun::new(
            format!("{}: one JSON value is expected, and there are more", path.display()),
            "name a file with one",
        )),
    }
}

/// Something to be read.
#[derive(Debug)]
pub(super) struct Source {
    /// For messages.
    name: String,
    path: PathBuf,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Standard input: one value, or lines.
    Stdin,
    /// A file or pipe with one value.
    One,
    /// A file or pipe with a value a line.
    Lines,
}

enum Stop {
    /// This source cannot be read; the next one may.
    Unread(CouldNotRun),
    /// The work itself failed.
    Failed(CouldNotRun),
}

type Work<'w> = &'w mut dyn FnMut(Document) -> Result<ControlFlow<()>, CouldNotRun>;

fn of(source: &Source, progress: &Progress, work: Work<'_>) -> Result<ControlFlow<()>, Stop> {
    let unread = |error: &std::io::Error| Stop::Unread(unreadable(&source.name, error));
    let reader: Box<dyn Read> = match source.kind {
        Kind::Stdin => {
            open::remark_on_terminal();
            Box::new(std::io::stdin())
        }
        _ => open::file(&source.path, &source.name).map_err(Stop::Unread)?,
    };
    let mut reader = BufReader::with_capacity(1 << 16, progress.watch(reader));
    let mut head = Vec::new();
    let kind = match source.kind {
        Kind::Stdin => first_lines(&mut reader, &mut head).map_err(|error| unread(&error))?,
        Kind::Lines => {
            // An archive or a document is one thing, however many line feeds are in it.
            let peek = reader.fill_buf().map_err(|error| unread(&error))?;
            if foreign(peek).is_some_and(|foreign| foreign.certain && !foreign.name.starts_with("empty but")) {
                Kind::One
            } else {
                Kind::Lines
            }
        }
        Kind::One => Kind::One,
    };
    let mut reader = std::io::Cursor::new(head).chain(reader);
    let give = |name: String, bytes: Vec<u8>, lines_before: usize| Document {
        name,
        file: source.name.clone(),
        bytes,
        lines_before,
    };
    if kind == Kind::One {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(|error| unread(&error))?;
        return work(give(source.name.clone(), bytes, 0)).map_err(Stop::Failed);
    }
    let (mut number, mut any) = (0, false);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(|error| unread(&error))? == 0 {
            break;
        }
        number += 1;
        if line.ends_with(b"\n") {
            line.pop();
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        any = true;
        let document = give(format!("{}:{number}", source.name), line.clone(), number - 1);
        if work(document).map_err(Stop::Failed)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    if any {
        return Ok(ControlFlow::Continue(()));
    }
    // A file without a line is something to be told, not nothing.
    work(give(source.name.clone(), Vec::new(), 0)).map_err(Stop::Failed)
}

/// Reads the first two lines that are not blank, and whether they are of NDJSON: the first is a whole value, or the
/// second one is an object while the first one is broken within itself.
fn first_lines(reader: &mut impl BufRead, head: &mut Vec<u8>) -> std::io::Result<Kind> {
    let mut lines: Vec<(usize, usize)> = Vec::new();
    while lines.len() < 2 {
        let start = head.len();
        if reader.read_until(b'\n', head)? == 0 {
            return Ok(Kind::One);
        }
        if !head[start..].trim_ascii().is_empty() {
            lines.push((start, head.len()));
        }
    }
    let text = |at: usize| head[lines[at].0..lines[at].1].trim_ascii();
    let first = match fhir::read(text(0)) {
        Ok(_) => return Ok(Kind::Lines),
        Err(error) => error,
    };
    let unfinished = first.column > text(0).len();
    let second = !unfinished && fhir::read(text(1)).is_ok_and(|value| value.is_object());
    Ok(if second { Kind::Lines } else { Kind::One })
}

pub(super) fn unreadable(name: &str, error: &std::io::Error) -> CouldNotRun {
    use std::io::ErrorKind;
    let name = if name == "-" { "standard input" } else { name };
    match error.kind() {
        ErrorKind::NotFound => CouldNotRun::new(format!("{name}: there is no such file or folder"), "check the path"),
        ErrorKind::PermissionDenied => {
            CouldNotRun::new(format!("{name}: this user may not read it"), "check its permissions")
        }
        _ => CouldNotRun::new(format!("{name}: cannot be read: {error}"), "check the path and its permissions"),
    }
}

#[cfg(test)]
mod tests;
