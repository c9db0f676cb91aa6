//! Verdicts side by side: a table by kind, and a file of what differs.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use super::{Case, Verdict, kinds::KINDS};

/// By what R4 says a group of disagreements is judged (`judged.toml`): who is right, and why.
#[derive(serde::Deserialize)]
struct Judged {
    /// Part of our sentences or theirs, by which the group is known.
    says: String,
    /// `ours`, `theirs` or `open` (R4 leaves it, or only a terminology server can tell).
    right: String,
    /// Where R4 says so.
    why: String,
}

#[derive(serde::Deserialize)]
struct Judgements {
    group: Vec<Judged>,
}

#[derive(Default)]
struct Row {
    all: usize,
    same: usize,
    /// Different, and R4's text is on our side.
    ours_right: usize,
    /// Different, and open by R4's text.
    open: usize,
    both_invalid: usize,
    placed: usize,
}

/// A JSON pointer as steps, indexes with their lists.
fn steps(pointer: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    for part in pointer.split('/').skip(1) {
        match steps.last_mut() {
            Some(last) if part.bytes().all(|byte| byte.is_ascii_digit()) => {
                let _ = write!(last, "[{part}]");
            }
            _ => steps.push(part.trim_start_matches('_').to_owned()),
        }
    }
    steps
}

/// At the damaged place, its parent, its child or its sibling. A list and its items are one place.
fn beside(ours: &str, damaged: &str) -> bool {
    let (ours, damaged) = (steps(ours), steps(damaged));
    let plain = |step: &String| step.split('[').next().unwrap_or_default().to_owned();
    let alike =
        |(a, b): &(&String, &String)| a == b || (plain(a) == plain(b) && (!a.contains('[') || !b.contains('[')));
    let shared = ours.iter().zip(&damaged).take_while(alike).count();
    ours.len() - shared <= 1 && damaged.len() - shared <= 1
}

/// Who is right where only one of the two refuses: whoever refuses needs one good reason, and is wrong only where none is good.
fn judge(groups: &[Judged], ours: &Verdict, theirs: &Verdict, used: &mut [usize]) -> &'static str {
    let (errors, (refuser, other)) = match ours.errors.is_empty() {
        false => (&ours.errors, ("ours", "theirs")),
        true => (&theirs.errors, ("theirs", "ours")),
    };
    let known = |text: &str| groups.iter().position(|group| text.contains(&group.says));
    let judged: Vec<Option<usize>> = errors.iter().map(|(_, text)| known(text)).collect();
    judged.iter().flatten().for_each(|at| used[*at] += 1);
    let says = |right: &str| judged.iter().flatten().any(|at| groups[*at].right == right);
    match () {
        () if says(refuser) => refuser,
        () if judged.contains(&None) => "?",
        () if says("open") => "open",
        () => other,
    }
}

/// Prints the table and writes the details.
pub fn report(folder: &Path, verdicts: &[(Case, Verdict, Verdict)], disputed: &[(String, Verdict, Verdict)]) {
    let judgements: Judgements = toml::from_str(include_str!("judged.toml")).expect("groups");
    let mut rows: BTreeMap<usize, Row> = BTreeMap::new();
    let mut groups: BTreeMap<(String, String), (usize, String)> = BTreeMap::new();
    let (mut log, mut used) = (String::new(), vec![0_usize; judgements.group.len()]);
    for (case, ours, theirs) in verdicts {
        let row = rows.entry(case.kind).or_default();
        row.all += 1;
        let same = ours.errors.is_empty() == theirs.errors.is_empty();
        row.same += usize::from(same);
        let mut misplaced = false;
        if !ours.errors.is_empty() && !theirs.errors.is_empty() {
            row.both_invalid += 1;
            misplaced = !ours.errors.iter().any(|(at, _)| beside(at, &case.at));
            row.placed += usize::from(!misplaced);
        }
        if same && !misplaced {
            continue;
        }
        let right = if same { "" } else { judge(&judgements.group, ours, theirs, &mut used) };
        row.ours_right += usize::from(right == "ours");
        row.open += usize::from(right == "open");
        let what = if same {
            "AWAY"
        } else if ours.errors.is_empty() {
            "MISSED"
        } else {
            "ALONE"
        };
        let first =
            ours.errors.iter().chain(&theirs.errors).next().map(|(_, text)| text.chars().take(110).collect::<String>());
        let key = (format!("{} {what} {right}", KINDS[case.kind].0), first.unwrap_or_default());
        groups.entry(key).or_insert((0, case.id.clone())).0 += 1;
        let _ = writeln!(log, "{what} {right} {} base {} at {}", case.id, case.base, case.at);
        for (name, verdict) in [("ours", ours), ("hl7 ", theirs)] {
            for (at, text) in verdict.errors.iter().take(4) {
                let _ = writeln!(log, "    {name} {at}: {text}");
            }
        }
    }
    for (name, ours, theirs) in disputed {
        let _ = writeln!(log, "UNDAMAGED {name}");
        for (whose, verdict) in [("ours", ours), ("hl7 ", theirs)] {
            for (at, text) in verdict.errors.iter().take(4) {
                let _ = writeln!(log, "    {whose} {at}: {text}");
            }
        }
    }
    print(&rows);
    let mut summary = String::new();
    for ((kind, first), (count, example)) in &groups {
        let _ = writeln!(summary, "{count:5} {kind}: {first} (e.g. {example})");
    }
    for (group, used) in judgements.group.iter().zip(&used) {
        let _ = writeln!(summary, "{used:5} judged {} [{}]: {}", group.right, group.says, group.why);
    }
    fs::write(folder.join("differences.txt"), log).expect("writable");
    fs::write(folder.join("groups.txt"), summary).expect("writable");
    println!("what differs: {} and groups.txt beside it", folder.join("differences.txt").display());
}

fn print(rows: &BTreeMap<usize, Row>) {
    let percent = |part: usize, all: usize| if all == 0 { 100.0 } else { part as f64 * 100.0 / all as f64 };
    println!("{:<50} {:>5} {:>7} {:>9} {:>7}", "kind", "n", "same", "by R4", "placed");
    let mut total = Row::default();
    for (kind, row) in rows {
        let decided = row.all - row.open;
        let right = row.same + row.ours_right;
        println!(
            "{:<50} {:>5} {:>6.1}% {:>8.1}% {:>6.1}%",
            KINDS[*kind].0,
            row.all,
            percent(row.same, row.all),
            percent(right, decided),
            percent(row.placed, row.both_invalid)
        );
        total.all += row.all;
        total.same += row.same;
        total.ours_right += row.ours_right;
        total.open += row.open;
        total.both_invalid += row.both_invalid;
        total.placed += row.placed;
    }
    println!(
        "{:<50} {:>5} {:>6.2}% {:>8.2}% {:>6.2}%",
        "all",
        total.all,
        percent(total.same, total.all),
        percent(total.same + total.ours_right, total.all - total.open),
        percent(total.placed, total.both_invalid)
    );
}
