//! What became of every single edit, by the EHR's true history, the list of what was answered 202, and what people were shown
//! (questions, and what is kept as overruled). The gateway's own folds are asked nothing.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use serde_json::Value;

use super::{
    fields::{FIELDS, Field, Tokens, Who},
    staff::Commit,
};

/// An edit at the EHR that was answered 200, or a change of ours that was answered 202.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Which object, by kind and id.
    pub name: (String, String),
    /// Which of [`FIELDS`].
    pub field: usize,
    pub token: String,
    /// What whoever made it had in view.
    pub saw: Tokens,
}

/// All that the judge looks at.
pub struct Case<'c> {
    pub truth: &'c [Commit],
    /// The EHR's record of each object.
    pub records: &'c BTreeMap<(String, String), String>,
    pub objects: &'c BTreeMap<(String, String), Value>,
    pub staff: &'c [Edit],
    pub ours: &'c [Edit],
    /// Every question there ever was.
    pub items: &'c [Value],
    /// What was kept as overruled.
    pub overruled: &'c Tokens,
}

#[derive(Debug, Default)]
pub struct Verdict {
    /// What is wrong, in words.
    pub wrong: Vec<String>,
    /// Writes of the gateway that took edits away which nobody had seen (object and version).
    pub blind: Vec<Blind>,
    /// Edits that a person was shown (as a question, or kept as overruled).
    pub shown: usize,
}

/// A write over edits that nobody had seen.
#[derive(Debug)]
pub struct Blind {
    pub name: (String, String),
    pub version: String,
    /// What went, and whether it came back.
    pub edits: BTreeMap<String, bool>,
    /// The versions around it.
    story: String,
}

impl fmt::Display for Blind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} in version {}:\n{}", self.name, self.edits, self.version, self.story)
    }
}

impl Blind {
    pub fn is_put_back(&self) -> bool {
        self.edits.values().all(|back| *back)
    }
}

pub fn judge(case: &Case<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    let shown = shown(case);
    for (name, reference) in case.records {
        let history: Vec<&Commit> = case.truth.iter().filter(|commit| commit.reference() == *reference).collect();
        let fields = FIELDS.iter().enumerate().filter(|(_, field)| field.object == name.0);
        let mut blind: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
        for (at, field) in fields {
            let of = |edits: &'_ [Edit]| -> Vec<Edit> {
                edits.iter().filter(|edit| edit.name == *name && edit.field == at).cloned().collect()
            };
            let (staff, ours) = (of(case.staff), of(case.ours));
            verdict.shown += taken_away(field, &history, &ours, &shown, &mut blind);
            let gone: Tokens =
                blind.values().flat_map(|edits| edits.keys().cloned()).chain(shown.iter().cloned()).collect();
            all_there(name, field, &history, &staff, &ours, &gone, &mut verdict);
            if let (Some(last), Some(object)) = (history.last(), case.objects.get(name)) {
                let (there, here) = (field.there(&last.body), field.here(object));
                if field.here.is_some() && there != here {
                    let differ: Vec<&String> = there.symmetric_difference(&here).collect();
                    let told = differ.iter().any(|token| shown.contains(*token));
                    if !told {
                        verdict.wrong.push(format!("{name:?} {}: the sides differ in {differ:?}", field.there));
                    }
                }
            }
        }
        let blind = blind.into_iter().map(|(version, edits)| {
            let story = story(&history, &version, &name.0);
            Blind { name: name.clone(), version, edits, story }
        });
        verdict.blind.extend(blind);
    }
    verdict
}

/// The versions around one: who wrote them, and what stands in the fields.
fn story(history: &[&Commit], version: &str, object: &str) -> String {
    let at = history.iter().position(|commit| commit.version == version).unwrap_or_default();
    let mut text = String::new();
    for commit in &history[at.saturating_sub(3)..(at + 5).min(history.len())] {
        let who = if commit.is_staffs() { "theirs" } else { "ours  " };
        let _ = write!(text, "    {:>3.3} {who}", commit.version);
        for field in FIELDS.iter().filter(|field| field.object == object) {
            let newest = field.there(&commit.body).into_iter().max_by_key(|token| token[2..].parse::<u32>().ok());
            let _ = write!(text, " {}={}", field.there, newest.unwrap_or_default());
        }
        text.push('\n');
    }
    text
}

/// Values of either side in a question, and what is kept as overruled.
fn shown(case: &Case<'_>) -> Tokens {
    let mut shown = case.overruled.clone();
    for field in case.items.iter().flat_map(|item| item["fields"].as_array().into_iter().flatten()) {
        shown.extend(super::fields::tokens(Some(&field["ours"])));
        shown.extend(super::fields::tokens(Some(&field["theirs"])));
    }
    shown
}

/// Follows the history: what one of the hospital's people wrote goes only where they, or somebody of ours who saw it, replace it.
fn taken_away(
    field: &Field,
    history: &[&Commit],
    ours: &[Edit],
    shown: &Tokens,
    blind: &mut BTreeMap<String, BTreeMap<String, bool>>,
) -> usize {
    let (mut told, mut replaced) = (0, Tokens::new());
    for (at, pair) in history.windows(2).enumerate() {
        let (before, after) = (field.there(&pair[0].body), field.there(&pair[1].body));
        if pair[1].is_staffs() {
            // Whatever brings it back afterwards, its end is no loss.
            replaced.extend(before.difference(&after).cloned());
            continue;
        }
        // Of two edits of one value by the hospital's people the later one stands, whatever became of the earlier one meanwhile.
        let when = |token: &str| {
            history.iter().position(|commit| commit.is_staffs() && field.there(&commit.body).contains(token))
        };
        let is_older = |token: &str| {
            !field.is_list() && after.iter().any(|stands| stands.starts_with("s-") && when(stands) > when(token))
        };
        let theirs = |token: &&String| token.starts_with("s-") && !replaced.contains(*token) && !is_older(token);
        for token in before.difference(&after).filter(theirs) {
            let seen = ours.iter().any(|edit| edit.saw.contains(token) && !field.is_list());
            if seen {
                continue;
            }
            if shown.contains(token) {
                told += 1;
                continue;
            }
            let back = history[at + 2..].iter().any(|commit| field.there(&commit.body).contains(token));
            blind.entry(pair[1].version.clone()).or_default().insert(token.clone(), back);
        }
    }
    told
}

/// Each edit arrived; the last of each side is there, or went by somebody who saw it.
fn all_there(
    name: &(String, String),
    field: &Field,
    history: &[&Commit],
    staff: &[Edit],
    ours: &[Edit],
    shown: &Tokens,
    verdict: &mut Verdict,
) {
    let Some(last) = history.last() else { return };
    let ever: Tokens = history.iter().flat_map(|commit| field.there(&commit.body)).collect();
    let now = field.there(&last.body);
    let mut wrong = |token: &str, what: &str| verdict.wrong.push(format!("{name:?} {}: {token} {what}", field.there));
    for edit in staff.iter().filter(|edit| !ever.contains(&edit.token)) {
        wrong(&edit.token, "was answered 200, and no version has it");
    }
    let kept = if field.is_list() { ours.len() } else { 1 };
    for edit in ours.iter().rev().take(kept).filter(|edit| !now.contains(&edit.token) && !shown.contains(&edit.token)) {
        let replaced = field.who == Who::Both && !field.is_list() && ever.contains(&edit.token);
        if !replaced {
            wrong(&edit.token, "was answered 202, is not there, and nobody was asked");
        }
    }
    if field.is_list() {
        for edit in staff.iter().filter(|edit| !now.contains(&edit.token) && !shown.contains(&edit.token)) {
            wrong(&edit.token, "of the hospital's is not there any more");
        }
        let text = last.body.pointer(field.there).map(Value::to_string).unwrap_or_default();
        for token in now.iter().filter(|token| text.matches(&format!("\"{token}\"")).count() > 1) {
            wrong(token, "is there twice");
        }
    }
}

impl Verdict {
    pub fn told(&self) -> String {
        let mut text = String::new();
        for wrong in self.wrong.iter().take(30) {
            let _ = writeln!(text, "  {wrong}");
        }
        text
    }
}

#[test]
fn the_judge_tells_each_kind_of_loss() {
    use serde_json::json;
    let name = ("appointment".to_owned(), "a".to_owned());
    let field = |there: &str| FIELDS.iter().position(|field| field.object == "appointment" && field.there == there);
    let (theirs, ours) = (field("/patientInstruction").expect("a field"), field("/description").expect("a field"));
    let list = field("/reasonCode").expect("a field");
    let edit = |field, token: &str| Edit { name: name.clone(), field, token: token.to_owned(), saw: Tokens::new() };
    let commit = |version: usize, by: &str, instruction: &str, description: &str, reasons: &[&str]| Commit {
        by: by.to_owned(),
        kind: "Appointment".to_owned(),
        id: "1".to_owned(),
        version: version.to_string(),
        body: json!({"patientInstruction": instruction, "description": description,
            "reasonCode": reasons.iter().map(|text| json!({"text": text})).collect::<Vec<_>>()}),
    };
    let records = BTreeMap::from([(name.clone(), "Appointment/1".to_owned())]);
    let told = |truth: &[Commit], staff: &[Edit], ours: &[Edit], items: &[Value]| {
        let (objects, overruled) = (BTreeMap::new(), Tokens::new());
        judge(&Case { truth, records: &records, objects: &objects, staff, ours, items, overruled: &overruled })
    };
    let begin = commit(1, "", "-", "-", &[]);
    let staffs = commit(2, "ward", "s-1", "-", &["s-2"]);
    let edits = [edit(theirs, "s-1"), edit(list, "s-2")];
    let fine = told(
        &[begin.clone(), staffs.clone(), commit(3, "", "s-1", "o-3", &["s-2"])],
        &edits,
        &[edit(ours, "o-3")],
        &[],
    );
    assert!(fine.wrong.is_empty() && fine.blind.is_empty(), "{fine:?}");
    // Over what nobody had seen; put back; replaced by the hospital itself.
    let over = commit(3, "", "-", "o-3", &[]);
    let lost = told(&[begin.clone(), staffs.clone(), over.clone()], &edits, &[], &[]);
    assert!(lost.blind.len() == 1 && !lost.blind[0].is_put_back() && lost.blind[0].edits.len() == 2, "{lost:?}");
    let back =
        told(&[begin.clone(), staffs.clone(), over.clone(), commit(4, "", "s-1", "o-3", &["s-2"])], &edits, &[], &[]);
    assert!(back.blind.len() == 1 && back.blind[0].is_put_back() && back.wrong.is_empty(), "{back:?}");
    let own = commit(3, "ward", "s-4", "-", &["s-2"]);
    let replaced = told(
        &[begin.clone(), staffs.clone(), own],
        &[edit(theirs, "s-1"), edit(theirs, "s-4"), edit(list, "s-2")],
        &[],
        &[],
    );
    assert!(replaced.blind.is_empty() && replaced.wrong.is_empty(), "{replaced:?}");
    // Put back over a later edit, which then stands: the earlier one would have gone without us, too.
    let later = [
        begin.clone(),
        staffs.clone(),
        commit(3, "", "-", "o-3", &["s-2"]),
        commit(4, "ward", "s-4", "o-3", &["s-2"]),
        commit(5, "", "s-1", "o-3", &["s-2"]),
        commit(6, "", "s-4", "o-3", &["s-2"]),
    ];
    let stands = told(&later, &[edits.to_vec(), vec![edit(theirs, "s-4")]].concat(), &[], &[]);
    assert!(stands.blind.len() == 2 && stands.blind.iter().all(Blind::is_put_back), "{stands:?}");
    let earlier = told(&later[..5], &[edits.to_vec(), vec![edit(theirs, "s-4")]].concat(), &[], &[]);
    assert!(earlier.blind.iter().any(|blind| !blind.is_put_back()), "the later one went: {earlier:?}");
    // Told to a person.
    let asked = json!({"fields": [{"path": "patient_instructions", "ours": "-", "theirs": "s-1"}, {"path": "reasons", "theirs": [{"text": "s-2"}]}]});
    let shown = told(&[begin.clone(), staffs.clone(), over], &edits, &[], std::slice::from_ref(&asked));
    assert!(shown.blind.is_empty() && shown.shown == 2 && shown.wrong.is_empty(), "{shown:?}");
    // Ours that never came, an edit that never was, and one that is there twice.
    for (truth, staff, our) in [
        (vec![begin.clone(), staffs.clone()], edits.to_vec(), vec![edit(ours, "o-9")]),
        (vec![begin.clone(), staffs], [&edits[..], &[edit(theirs, "s-8")]].concat(), vec![]),
        (vec![begin, commit(2, "ward", "s-1", "-", &["s-2", "s-2"])], edits.to_vec(), vec![]),
    ] {
        let verdict = told(&truth, &staff, &our, &[]);
        assert_eq!(verdict.wrong.len(), 1, "{verdict:?}");
    }
}
