//! How findings look to people: severity and sentence, file with line and column, the source line with a caret, then
//! rule, profile and fix.

use std::io::{self, IsTerminal, Write};

use super::{Checked, Placed, input::Document};
use crate::fhir::outcome::Severity;

/// Widest piece of a source line that is shown.
const WIDE: usize = 100;

/// Writes what was found in a document.
pub fn write(out: &mut impl Write, document: &Document, checked: &Checked) -> io::Result<()> {
    let lines = Lines::of(&document.bytes);
    for issue in &checked.issues {
        one(out, document, &lines, issue)?;
    }
    Ok(())
}

/// Where the lines of a text are, looked up once for all issues.
struct Lines<'a> {
    bytes: &'a [u8],
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let after = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        Self { bytes, starts: std::iter::once(0).chain(after).collect() }
    }

    /// A line by its number, from 1, without its end.
    fn get(&self, line: usize) -> &'a [u8] {
        let Some(start) = line.checked_sub(1).and_then(|at| self.starts.get(at)) else { return &[] };
        let end = self.starts.get(line).map_or(self.bytes.len(), |next| next - 1);
        self.bytes.get(*start..end).unwrap_or_default()
    }
}

fn one(out: &mut impl Write, document: &Document, lines: &Lines<'_>, issue: &Placed) -> io::Result<()> {
    let color = Palette::of(issue.severity);
    writeln!(out, "{}{}{}{}: {}{}", color.word, name(issue.severity), color.off, color.bold, issue.text, color.off)?;
    let pad = match issue.at {
        Some((line, column)) => {
            let number = (line + document.lines_before).to_string();
            let pad = " ".repeat(number.len());
            let file = &document.file;
            let place = if issue.expression.is_empty() { String::new() } else { format!("  {}", issue.expression) };
            writeln!(out, "{pad}{}-->{} {file}:{number}:{column}{place}", color.dim, color.off)?;
            let (shown, offset) = window(lines.get(line), column);
            writeln!(out, "{pad} {}|{}", color.dim, color.off)?;
            writeln!(out, "{}{number} |{} {shown}", color.dim, color.off)?;
            writeln!(out, "{pad} {}|{} {}{}^{}", color.dim, color.off, " ".repeat(offset), color.word, color.off)?;
            pad
        }
        None => {
            writeln!(out, " {}-->{} {}", color.dim, color.off, document.name)?;
            " ".to_owned()
        }
    };
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

/// The part of a line around a column (from 1, in bytes), and where the column is in it. Looks only at what is near:
/// a whole file may be one line.
fn window(line: &[u8], column: usize) -> (String, usize) {
    /// A letter has at most so many bytes.
    const LONGEST: usize = 4;
    let reach = (WIDE + 2) * LONGEST;
    let is_inside = |at: usize| line.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    let mut at = column.saturating_sub(1).min(line.len());
    while at > 0 && is_inside(at) {
        at -= 1;
    }
    let mut from = at.saturating_sub(reach);
    while from < at && is_inside(from) {
        from += 1;
    }
    let mut to = (at + reach).min(line.len());
    while to > at && is_inside(to) {
        to -= 1;
    }
    let letters = |bytes: &[u8]| -> Vec<char> {
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        String::from_utf8_lossy(bytes).chars().map(clean).collect()
    };
    let mut all = letters(&line[from..at]);
    let after = letters(&line[at..to]);
    let at = all.len();
    all.extend(after);
    if to == line.len() {
        all.truncate(all.iter().rposition(|c| !c.is_whitespace()).map_or(0, |last| last + 1));
    }
    if from == 0 && to == line.len() && all.len() <= WIDE {
        return (all.iter().collect(), at);
    }
    let start = at.saturating_sub(WIDE / 3).min(all.len());
    let end = (start + WIDE).min(all.len());
    let more_before = if from > 0 || start > 0 { "…" } else { "" };
    let more_after = if to < line.len() || end < all.len() { "…" } else { "" };
    let part: String = all[start..end].iter().collect();
    (format!("{more_before}{part}{more_after}"), at - start + more_before.chars().count())
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
        assert_eq!(window(b"  \"a\": 1", 3), ("  \"a\": 1".to_owned(), 2));
        let long = "x".repeat(5000);
        let (shown, at) = window(long.as_bytes(), 3000);
        assert!(shown.chars().count() <= 102 && shown.starts_with('…') && shown.ends_with('…'));
        assert_eq!(shown.chars().nth(at), Some('x'));
        assert_eq!(window("é\"a\"".as_bytes(), 3), ("é\"a\"".to_owned(), 1));
        let wide = "é".repeat(5000);
        for column in [1, 2, 3, 4999, 9999, 10_000, 10_001, 20_000] {
            let (shown, at) = window(wide.as_bytes(), column);
            assert!(!shown.contains('\u{fffd}') && at <= shown.chars().count(), "{column}: {shown} {at}");
        }
        assert_eq!(window(b"", 1), (String::new(), 0));
    }
}
