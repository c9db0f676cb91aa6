//! How findings look to people: severity and sentence, file with line and column, the source line with a caret, then
//! rule, profile and fix.

use std::io::{self, IsTerminal, Write};

use super::{Checked, Placed, input::Document};
use crate::fhir::outcome::Severity;

/// Widest piece of a source line that is shown.
const WIDE: usize = 100;

/// Writes what was found in a document.
pub fn write(out: &mut impl Write, document: &Document, checked: &Checked) -> io::Result<()> {
    for issue in &checked.issues {
        one(out, document, issue)?;
    }
    Ok(())
}

fn one(out: &mut impl Write, document: &Document, issue: &Placed) -> io::Result<()> {
    let (line, column) = issue.at;
    let color = Palette::of(issue.severity);
    writeln!(out, "{}{}{}{}: {}{}", color.word, name(issue.severity), color.off, color.bold, issue.text, color.off)?;
    let source =
        String::from_utf8_lossy(document.bytes.split(|byte| *byte == b'\n').nth(line - 1).unwrap_or(&[])).into_owned();
    let number = (line + document.lines_before).to_string();
    let pad = " ".repeat(number.len());
    // A line of NDJSON carries its number in the document's name already.
    let file = if document.lines_before > 0 {
        document.name.rsplit_once(':').map_or(document.name.as_str(), |(file, _)| file)
    } else {
        &document.name
    };
    let place = if issue.expression.is_empty() { String::new() } else { format!("  {}", issue.expression) };
    writeln!(out, "{pad}{}-->{} {file}:{number}:{column}{place}", color.dim, color.off)?;
    let (shown, offset) = window(&source, column);
    writeln!(out, "{pad} {}|{}", color.dim, color.off)?;
    writeln!(out, "{}{number} |{} {shown}", color.dim, color.off)?;
    writeln!(out, "{pad} {}|{} {}{}^{}", color.dim, color.off, " ".repeat(offset), color.word, color.off)?;
    writeln!(out, "{pad} {}={} rule: {}", color.dim, color.off, issue.rule)?;
    if let Some(profile) = &issue.profile {
        writeln!(out, "{pad} {}={} from: {profile}", color.dim, color.off)?;
    }
    if let Some(fix) = &issue.fix {
        writeln!(out, "{pad} {}={} {}help{}: {fix}", color.dim, color.off, color.bold, color.off)?;
    }
    writeln!(out)
}

const fn name(severity: Severity) -> &'static str {
    match severity {
        Severity::Fatal | Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Information => "note",
    }
}

/// The part of a line around a column (from 1, in bytes), and where the column is in it.
fn window(source: &str, column: usize) -> (String, usize) {
    let clean: String = source.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut at = column.saturating_sub(1).min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    let at = source[..at].chars().count();
    let letters: Vec<char> = clean.trim_end().chars().collect();
    if letters.len() <= WIDE {
        return (letters.iter().collect(), at);
    }
    let start = at.saturating_sub(WIDE / 3);
    let end = (start + WIDE).min(letters.len());
    let (before, after) = (if start > 0 { "…" } else { "" }, if end < letters.len() { "…" } else { "" });
    let part: String = letters[start.min(end)..end].iter().collect();
    (format!("{before}{part}{after}"), at - start + before.chars().count())
}

/// One closing line.
pub fn summary(out: &mut impl Write, all: usize, bad: usize, warned: usize) -> io::Result<()> {
    let things = if all == 1 { "resource" } else { "resources" };
    match (bad, warned) {
        (0, 0) => writeln!(out, "{all} {things}: all valid"),
        (0, warned) => writeln!(out, "{all} {things}: all valid, {warned} with warnings"),
        (bad, _) => writeln!(out, "{all} {things}: {bad} invalid"),
    }
}

struct Palette {
    word: &'static str,
    bold: &'static str,
    dim: &'static str,
    off: &'static str,
}

impl Palette {
    fn of(severity: Severity) -> Self {
        if !io::stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some() {
            return Self { word: "", bold: "", dim: "", off: "" };
        }
        let word = match severity {
            Severity::Fatal | Severity::Error => "\x1b[1;31m",
            Severity::Warning => "\x1b[1;33m",
            Severity::Information => "\x1b[1;36m",
        };
        Self { word, bold: "\x1b[1m", dim: "\x1b[34m", off: "\x1b[0m" }
    }
}

#[cfg(test)]
mod tests {
    use super::window;

    #[test]
    fn long_lines_are_cut_around_the_column() {
        assert_eq!(window("  \"a\": 1", 3), ("  \"a\": 1".to_owned(), 2));
        let long = "x".repeat(500);
        let (shown, at) = window(&long, 300);
        assert!(shown.chars().count() <= 102 && shown.starts_with('…') && shown.ends_with('…'));
        assert_eq!(shown.chars().nth(at), Some('x'));
        assert_eq!(window("é\"a\"", 3), ("é\"a\"".to_owned(), 1));
    }
}
