//! `answers.yaml`: what an EHR's own error numbers mean, by dialect. The numbers are data; the few things that an error
//! can mean for an exchange are the words of [`Meaning`].

use std::collections::BTreeMap;

use super::{
    Dialects,
    files::Files,
    yaml::{Mistakes, Node, nearest},
};

/// What an error of an EHR means for what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The record is now part of another one.
    Merged,
    /// The list's session has expired.
    Restart,
    /// Too many results at once.
    Narrow,
    /// Specially protected; not to be asked for again.
    Never,
    /// Not before tomorrow.
    Tomorrow,
    /// It is there already.
    Duplicate,
}

const WORDS: [(&str, Meaning); 6] = [
    ("merged", Meaning::Merged),
    ("restart", Meaning::Restart),
    ("narrow", Meaning::Narrow),
    ("never", Meaning::Never),
    ("tomorrow", Meaning::Tomorrow),
    ("duplicate", Meaning::Duplicate),
];

/// Error number → meaning.
pub type Answers = BTreeMap<String, Meaning>;

/// Reads the file; each dialect must be known.
pub(crate) fn read(files: &Files, dialects: &Dialects, mistakes: &mut Mistakes) -> BTreeMap<String, Answers> {
    let path = "answers.yaml";
    let mut answers: BTreeMap<String, Answers> = BTreeMap::new();
    let node = files.0.get(path).and_then(|text| Node::read(&path.into(), text, mistakes));
    for (dialect, numbers) in node.iter().flat_map(Node::members) {
        if !dialects.contains_key(&dialect.text) {
            mistakes.add(&dialect.at, format!("there is no dialect `{}`", dialect.text), "name it in dialects.yaml");
        }
        for (number, meaning) in numbers.members() {
            let word = meaning.text().unwrap_or_default();
            match WORDS.iter().find(|(known, _)| *known == word) {
                Some((_, meaning)) => {
                    answers.entry(dialect.text.clone()).or_default().insert(number.text.clone(), *meaning);
                }
                None => {
                    let words = WORDS.map(|(known, _)| known);
                    let hint = nearest(word, words).map_or_else(
                        || format!("one of: {}", words.join(", ")),
                        |near| format!("did you mean `{near}`?"),
                    );
                    mistakes.add(&meaning.at, format!("an error cannot mean `{word}`"), hint);
                }
            }
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_meanings_and_mistakes_have_places() {
        let dialects =
            Dialects::from(["generic", "odd"].map(|name| (name.to_owned(), super::super::Dialect::default())));
        let parse = |text: &str| {
            let files = Files(BTreeMap::from([("answers.yaml".to_owned(), text.to_owned())]));
            let mut mistakes = Mistakes::default();
            (read(&files, &dialects, &mut mistakes), mistakes.0)
        };
        let (answers, mistakes) = parse("odd:\n  \"7\": narrow\n  8: never\n");
        assert!(mistakes.is_empty(), "{mistakes:?}");
        assert_eq!(answers["odd"], Answers::from([("7".into(), Meaning::Narrow), ("8".into(), Meaning::Never)]));
        let (_, mistakes) = parse("odd:\n  \"7\": narow\nstrange: {}\n");
        assert_eq!(mistakes.len(), 2);
        assert_eq!((mistakes[0].line, mistakes[0].hint.as_str()), (2, "did you mean `narrow`?"));
    }
}
