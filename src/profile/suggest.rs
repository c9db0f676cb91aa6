//! "Did you mean": the nearest known name, only where it is near enough to be certain.

/// The nearest of `known` within one typing mistake (two for long names), none if several are as near.
pub fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let bound = if name.len() > 7 { 2 } else { 1 };
    let mut best: Option<(usize, &str)> = None;
    let mut tied = false;
    for candidate in known.filter(|candidate| !candidate.starts_with('_')) {
        let far = if candidate.eq_ignore_ascii_case(name) { 0 } else { distance(name, candidate, bound) };
        if far > bound {
            continue;
        }
        match best {
            Some((least, _)) if far > least => {}
            Some((least, _)) if far == least => tied = true,
            _ => (best, tied) = (Some((far, candidate)), false),
        }
    }
    best.filter(|_| !tied).map(|(_, candidate)| candidate)
}

/// Edits between two words (insert, delete, replace, swap of neighbours), given up beyond `bound`.
fn distance(a: &str, b: &str, bound: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(80).collect(), b.chars().take(80).collect());
    if a.len().abs_diff(b.len()) > bound {
        return bound + 1;
    }
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            rows[i][j] = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                rows[i][j] = rows[i][j].min(rows[i - 2][j - 2] + 1);
            }
        }
    }
    rows[a.len()][b.len()]
}

/// A name from outside as it may be shown: cut to a reasonable length, without control characters.
pub fn name(text: &str) -> String {
    let shown: String = text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(80).is_some() { shown + "…" } else { shown }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_and_far() {
        let known = ["birthDate", "gender", "name", "_name"];
        assert_eq!(nearest("birthdate", known.into_iter()), Some("birthDate"));
        assert_eq!(nearest("gendre", known.into_iter()), Some("gender"));
        assert_eq!(nearest("colour", known.into_iter()), None);
    }
}
