//! Words that fit a pattern, and times of our formats, by chance. For generated records only. A pattern is read once.

use fastrand::Rng;
use regex_syntax::hir::{Class, Hir, HirKind};

/// A pattern ready to make words.
#[derive(Debug)]
pub(super) struct Words(Node);

#[derive(Debug)]
enum Node {
    Literal(String),
    /// The ordinary characters of a class, and the ends of its ranges.
    Class(Vec<char>, Vec<(u32, u32)>),
    /// From so many to so many.
    Repeated(u32, u32, Box<Node>),
    All(Vec<Node>),
    Either(Vec<Node>),
}

impl Words {
    /// Reads a regular expression; none if it cannot be read.
    pub(super) fn of(pattern: &str) -> Option<Self> {
        Some(Self(node(&regex_syntax::parse(pattern).ok()?)))
    }

    /// A text that the pattern matches, as far as its anchors allow.
    pub(super) fn make(&self, rng: &mut Rng) -> String {
        let mut text = String::new();
        write(&self.0, rng, &mut text);
        if text.is_empty() {
            text.push('x');
        }
        text
    }
}

fn node(hir: &Hir) -> Node {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Node::All(Vec::new()),
        HirKind::Literal(literal) => Node::Literal(String::from_utf8_lossy(&literal.0).into_owned()),
        HirKind::Class(Class::Unicode(class)) => {
            let holds =
                |letter: &char| class.ranges().iter().any(|range| (range.start()..=range.end()).contains(letter));
            let ordinary = ('a'..='z').chain('A'..='Z').chain('0'..='9').filter(holds).collect();
            Node::Class(
                ordinary,
                class.ranges().iter().map(|range| (range.start() as u32, range.end() as u32)).collect(),
            )
        }
        HirKind::Class(Class::Bytes(_)) => Node::Literal("a".to_owned()),
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(repetition.min + 6).min(repetition.min + 6);
            Node::Repeated(repetition.min, most.max(repetition.min), Box::new(node(&repetition.sub)))
        }
        HirKind::Capture(capture) => node(&capture.sub),
        HirKind::Concat(parts) => Node::All(parts.iter().map(node).collect()),
        HirKind::Alternation(parts) => Node::Either(parts.iter().map(node).collect()),
    }
}

fn write(node: &Node, rng: &mut Rng, text: &mut String) {
    match node {
        Node::Literal(literal) => text.push_str(literal),
        Node::Class(ordinary, ranges) => text.extend(character(ordinary, ranges, rng)),
        Node::Repeated(least, most, inner) => (0..rng.u32(*least..=*most)).for_each(|_| write(inner, rng, text)),
        Node::All(parts) => parts.iter().for_each(|part| write(part, rng, text)),
        Node::Either(parts) => write(&parts[rng.usize(..parts.len())], rng, text),
    }
}

/// A character of a class, mostly an ordinary one.
fn character(ordinary: &[char], ranges: &[(u32, u32)], rng: &mut Rng) -> Option<char> {
    if !ordinary.is_empty() && rng.u8(..) > 20 {
        return Some(ordinary[rng.usize(..ordinary.len())]);
    }
    let (first, last) = *ranges.get(rng.usize(..ranges.len().max(1)))?;
    let found = char::from_u32(rng.u32(first..=last.min(first + 200))).or_else(|| char::from_u32(first))?;
    // A control character is nobody's word; leaving it out could break the pattern.
    if found.is_control() { ordinary.first().copied() } else { Some(found) }
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
            let words = Words::of(pattern).unwrap();
            for _ in 0..200 {
                let word = words.make(&mut rng);
                assert!(checker.is_match(&word), "{pattern}: {word:?}");
            }
        }
        for _ in 0..500 {
            assert!(crate::domain::Time::parse(&time("moment", &mut rng)).is_ok());
        }
    }
}
