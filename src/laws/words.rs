//! Words that fit a pattern: from a regular expression's structure, by chance. For generated records only.

use fastrand::Rng;
use regex_syntax::hir::{Class, Hir, HirKind};

/// A text that the pattern matches, as far as its anchors allow; none if the pattern cannot be read.
pub(super) fn matching(pattern: &str, rng: &mut Rng) -> Option<String> {
    let hir = regex_syntax::parse(pattern).ok()?;
    let mut text = String::new();
    write(&hir, rng, &mut text);
    if text.is_empty() {
        text.push('x');
    }
    Some(text)
}

fn write(hir: &Hir, rng: &mut Rng, text: &mut String) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(class) => text.extend(character(class, rng)),
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(repetition.min + 6).min(repetition.min + 6);
            for _ in 0..rng.u32(repetition.min..=most.max(repetition.min)) {
                write(&repetition.sub, rng, text);
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, rng, text),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write(part, rng, text)),
        HirKind::Alternation(parts) => write(&parts[rng.usize(..parts.len())], rng, text),
    }
}

/// A character of a class, mostly an ordinary one.
fn character(class: &Class, rng: &mut Rng) -> Option<char> {
    let Class::Unicode(class) = class else { return Some('a') };
    let ordinary: Vec<char> =
        ('a'..='z').chain('A'..='Z').chain('0'..='9').filter(|letter| holds(class, *letter)).collect();
    if !ordinary.is_empty() && rng.u8(..) > 20 {
        return Some(ordinary[rng.usize(..ordinary.len())]);
    }
    let ranges = class.ranges();
    let range = ranges.get(rng.usize(..ranges.len().max(1)))?;
    let (first, last) = (range.start() as u32, range.end() as u32);
    let found = char::from_u32(rng.u32(first..=last.min(first + 200))).unwrap_or(range.start());
    // A control character is nobody's word; leaving it out could break the pattern.
    if found.is_control() { ordinary.first().copied() } else { Some(found) }
}

fn holds(class: &regex_syntax::hir::ClassUnicode, letter: char) -> bool {
    class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&letter))
}

/// A moment or date by our formats.
pub(super) fn time(format: &str, rng: &mut Rng) -> String {
    let date = format!("{:04}-{:02}-{:02}", rng.u32(1930..2032), rng.u32(1..=12), rng.u32(1..=28));
    let partial = |rng: &mut Rng| match rng.u8(..4) {
        0 => date[..4].to_owned(),
        1 => date[..7].to_owned(),
        _ => date.clone(),
    };
    if format == "partial-date" || (format == "moment-or-date" && rng.bool()) {
        return partial(rng);
    }
    let clock = format!("{:02}:{:02}:{:02}", rng.u32(4..24), rng.u32(..60), rng.u32(..60));
    let fraction = if rng.u8(..5) == 0 { format!(".{:03}", rng.u32(..1000)) } else { String::new() };
    match rng.u8(..6) {
        0 => format!("{date}T{clock}{fraction}Z"),
        1 => format!("{date}T{clock}{fraction}[Europe/London]"),
        2 => format!("{date}T{clock}{fraction}+05:30[Asia/Kolkata]"),
        3 => format!("{date}T{clock}{fraction}Z[America/New_York]"),
        _ => format!("{date}T{clock}{fraction}{}", ["+02:00", "-05:00", "+00:00"][rng.usize(..3)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_fit_their_pattern() {
        let mut rng = Rng::with_seed(7);
        for pattern in
            [r"^[A-Za-z0-9.-]{1,64}$", r"^\S+( \S+)*$", r"^sha256-[0-9a-f]{64}$", r"^[^\s/]+/[^\s/]+$", r"^(?:a|bc)\d$"]
        {
            let checker = regex::Regex::new(pattern).unwrap();
            for _ in 0..200 {
                let word = matching(pattern, &mut rng).unwrap();
                assert!(checker.is_match(&word), "{pattern}: {word:?}");
            }
        }
        for _ in 0..500 {
            assert!(crate::domain::Time::parse(&time("moment", &mut rng)).is_ok());
        }
    }
}
