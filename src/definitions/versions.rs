//! Which of several versions is meant: canonicals with and without a version, several packages side by side.
//! <https://hl7.org/fhir/R4/references.html#canonical>

use std::cmp::Ordering;

/// A canonical's URL and version; a fragment is left out.
pub(super) fn split(canonical: &str) -> (&str, Option<&str>) {
    let (url, version) = canonical.split_once('|').map_or((canonical, None), |(url, version)| (url, Some(version)));
    let url = url.split_once('#').map_or(url, |(url, _)| url);
    let version = version.map(|version| version.split_once('#').map_or(version, |(version, _)| version));
    (url, version.filter(|version| !version.is_empty()))
}

/// Whether `version` is what `asked` means: itself, or a patch of `major.minor`.
pub(super) fn fits(version: &str, asked: &str) -> bool {
    version == asked || version.strip_prefix(asked).is_some_and(|rest| rest.starts_with('.') && asked.contains('.'))
}

/// Order by numbers where there are numbers (`6.10.0` after `6.9.0`); a label (`-ballot`) before its release.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.split(['.', '-', '+']), b.split(['.', '-', '+']));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(rest)) => return if rest.parse::<u64>().is_ok() { Ordering::Less } else { Ordering::Greater },
            (Some(rest), None) => return if rest.parse::<u64>().is_ok() { Ordering::Greater } else { Ordering::Less },
            (Some(one), Some(other)) => match (one.parse::<u64>(), other.parse::<u64>()) {
                (Ok(one), Ok(other)) => one.cmp(&other),
                (Ok(_), Err(_)) => Ordering::Greater,
                (Err(_), Ok(_)) => Ordering::Less,
                (Err(_), Err(_)) => one.cmp(other),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Whether a dependency (`name#6.1.x`) means the package with this label (`name#6.1.0`).
fn means(dependency: &str, label: &str) -> bool {
    let any = |version: &str| matches!(version, "latest" | "current" | "*" | "x");
    match (dependency.split_once('#'), label.split_once('#')) {
        (Some((wanted, version)), Some((name, own))) => {
            wanted == name
                && (version == own
                    || any(version)
                    || version.strip_suffix('x').is_some_and(|stem| stem.ends_with('.') && own.starts_with(stem)))
        }
        _ => dependency == label,
    }
}

/// For each package the others that it needs, by place: 2 where it says so, 1 where one of those does.
pub(super) fn needs(labels: &[&str], dependencies: &[&[String]]) -> Vec<Vec<u8>> {
    let direct = |from: usize, to: usize| from != to && dependencies[from].iter().any(|it| means(it, labels[to]));
    let of = |from: usize| {
        let mut ranks: Vec<u8> = (0..labels.len()).map(|to| if direct(from, to) { 2 } else { 0 }).collect();
        let mut left: Vec<usize> = (0..labels.len()).filter(|to| ranks[*to] > 0).collect();
        while let Some(next) = left.pop() {
            for to in (0..labels.len()).filter(|to| *to != from && direct(next, *to)) {
                if ranks[to] == 0 {
                    ranks[to] = 1;
                    left.push(to);
                }
            }
        }
        ranks
    };
    (0..labels.len()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_need_what_they_name_and_what_that_needs() {
        let labels = ["a#1.0.0", "b#1.0.0", "b#1.1.0", "c#2.0.0", "c#3.0.0", "loose.json"];
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let all = [
            named(&["b#1.0.x"]),
            named(&["c#2.0.0", "a#1.0.0"]),
            named(&["c#latest"]),
            named(&[]),
            named(&[]),
            named(&[]),
        ];
        let lists: Vec<&[String]> = all.iter().map(Vec::as_slice).collect();
        let needs = needs(&labels, &lists);
        assert_eq!(needs[0], [0, 2, 0, 1, 0, 0]);
        assert_eq!(needs[2], [0, 0, 0, 2, 2, 0]);
        assert_eq!(needs[5], [0; 6]);
    }

    #[test]
    fn versions_are_ordered_as_people_mean_them() {
        let rising =
            ["", "2.0.0", "3.1.0", "3.1.1", "6.1.0-ballot", "6.1.0-snapshot1", "6.1.0", "6.10.0", "2018-08-12"];
        for pair in rising.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert!(fits("4.0.1", "4.0") && fits("4.0.1", "4.0.1") && !fits("4.0.1", "4") && !fits("4.01.0", "4.0"));
        assert_eq!(split("http://a/b|1.0#x"), ("http://a/b", Some("1.0")));
        assert_eq!(split("http://a/b|"), ("http://a/b", None));
    }
}
