//! "Did you mean": the nearest known word to one that is not known, and the sentence about it. For names that people type
//! (kinds, dialects, keys, systems, addresses); never for what patients own.

/// The nearest of `candidates`: within a third of the word's letters, never a wholly different one.
#[must_use]
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody's name is that long, and the way is quadratic; nothing is like everything.
    if text.is_empty() || text.len() > 300 {
        return None;
    }
    let limit = (text.chars().count() / 3).max(1) + 1;
    let (distance, near) =
        candidates.into_iter().map(|candidate| (distance(text, candidate), candidate)).min_by_key(|(d, _)| *d)?;
    (distance <= limit && distance < text.chars().count().max(2)).then_some(near)
}

/// What to do about an unknown word: the nearest known one, else all of them where they are few enough to read.
#[must_use]
pub fn did_you_mean<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    const READABLE: usize = 40;
    if let Some(near) = nearest(text, candidates.clone()) {
        return format!("did you mean `{near}`?");
    }
    let all: Vec<&str> = candidates.into_iter().collect();
    match all.len() {
        0 => "there is none at all".to_owned(),
        count if count > READABLE => format!("none of the {count} known ones is like it"),
        _ => format!("one of: {}", all.join(", ")),
    }
}

/// Edits (insert, delete, replace) between two words, whatever their case.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().flat_map(char::to_lowercase).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far() {
        assert_eq!(nearest("tranform", ["transform", "target"]), Some("transform"));
        assert_eq!(nearest("Patiant", ["Patient", "Parameters"]), Some("Patient"));
        assert_eq!(nearest("zzz", ["transform", "target"]), None);
        assert_eq!(nearest("", ["a"]), None);
    }

    #[test]
    fn the_sentence_names_one_or_all() {
        assert_eq!(did_you_mean("patiens", ["patient", "slot"]), "did you mean `patient`?");
        assert_eq!(did_you_mean("unicorn", ["patient", "slot"]), "one of: patient, slot");
        assert_eq!(did_you_mean("unicorn", []), "there is none at all");
    }
}
