//! The merge over the embedded mappings: both sides change every field of every object, and what becomes of it is what the
//! field's owner says. The table `docs/merge-table.md` is made here: `MERGE_TABLE=write cargo test --test liaison merge::`.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::PathBuf};

use liaison::{
    fhir::Value,
    laws,
    mapping::{
        Context, Mappings, ObjectType, Owner, Plan,
        merge::{Decision, FieldRule, Merged, Occasion, Settled, Sides, merge},
    },
};

/// Objects of a kind that are tried.
const SAMPLES: usize = 160;
/// Threes of values that are tried of a field.
const TRIED: usize = 24;
/// Different values of a field that are used.
const POOL: usize = 12;

/// One row: a field, or the same member of a list's items (`participants[].reply`).
struct Field<'a> {
    steps: Vec<String>,
    rule: &'a FieldRule,
    list: bool,
    /// The lists around it, with the members that tell their items apart.
    around: Vec<(Vec<String>, Vec<String>)>,
}

impl Field<'_> {
    fn name(&self) -> String {
        self.steps.join(".").replace(".[]", "[]")
    }

    fn pointer(&self) -> String {
        self.steps.iter().filter(|step| *step != "[]").map(|step| format!("/{step}")).collect()
    }

    fn how(&self) -> String {
        match (self.list, self.rule.is_ordered(), self.rule.key()) {
            (true, true, _) => "list, as one value".to_owned(),
            (true, false, key) if !key.is_empty() => format!("list, items by {}", key.join(" and ")),
            (true, false, _) => "list, items as they are".to_owned(),
            (false, ..) => "one value".to_owned(),
        }
    }
}

fn all() -> std::sync::Arc<Mappings> {
    Mappings::embedded().unwrap_or_else(|error| panic!("{error}"))
}

fn objects(object: &ObjectType, plan: &Plan, seed: u64) -> Vec<Value> {
    let context = Context::new("example-clinic");
    let samples = laws::samples(object, plan, SAMPLES, seed);
    samples.iter().map(|object| plan.normalise(object, &context)).collect()
}

/// The fields of a rule, those of members after their group; what the samples hold says which are lists.
fn fields<'a>(
    rule: &'a FieldRule,
    steps: &[String],
    around: &[(Vec<String>, Vec<String>)],
    samples: &[Value],
    found: &mut Vec<Field<'a>>,
) {
    // What an item is known by does not change: with another one it is another item.
    let is_key = |name: &str| steps.last().is_some_and(|step| step == "[]") && rule.key().contains(&name);
    for (name, inner) in rule.members().filter(|(name, _)| !is_key(name)) {
        let mut steps = steps.to_vec();
        steps.push(name.to_owned());
        let values: Vec<&Value> = samples.iter().filter_map(|sample| get(sample, &steps)).collect();
        let list = values.iter().any(|value| value.is_array());
        let walked = inner.is_walked() && (!list || !inner.key().is_empty());
        if list || !walked {
            found.push(Field { steps: steps.clone(), rule: inner, list, around: around.to_vec() });
        }
        if walked && !inner.is_ordered() {
            let mut around = around.to_vec();
            if list {
                let key = inner.key().into_iter().map(str::to_owned).collect();
                around.push((steps.clone(), key));
                steps.push("[]".to_owned());
            }
            fields(inner, &steps, &around, samples, found);
        }
    }
}

fn get<'v>(value: &'v Value, steps: &[String]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| if step == "[]" { value.get(0) } else { value.get(step) })
}

fn set(value: &mut Value, steps: &[String], new: Option<&Value>) {
    let Some((last, way)) = steps.split_last() else { return };
    let mut at = value;
    for step in way {
        let next = if step == "[]" { at.get_mut(0) } else { at.get_mut(step) };
        match next {
            Some(next) => at = next,
            None => return,
        }
    }
    if let Some(members) = at.as_object_mut() {
        match new {
            Some(new) => _ = members.insert(last.clone(), new.clone()),
            None => _ = members.shift_remove(last),
        }
    }
}

/// All values of a field; of lists around it, in all their items.
fn every<'v>(value: &'v Value, steps: &[String]) -> Vec<&'v Value> {
    match steps.split_first() {
        None => vec![value],
        Some((step, rest)) if step == "[]" => {
            value.as_array().into_iter().flatten().flat_map(|item| every(item, rest)).collect()
        }
        Some((step, rest)) => value.get(step).into_iter().flat_map(|inner| every(inner, rest)).collect(),
    }
}

/// Sets a field where there is an object to hold it.
fn place(object: &mut Value, steps: &[String], value: Option<&Value>) -> bool {
    let held = steps.split_last().is_some_and(|(_, way)| get(object, way).is_some_and(Value::is_object));
    set(object, steps, value);
    held
}

/// The same as the only member of its group; false where it is a field of the object or of an item.
fn narrowed(object: &mut Value, steps: &[String], value: Option<&Value>) -> bool {
    let Some((last, way)) = steps.split_last() else { return false };
    if way.last().is_none_or(|step| step == "[]") {
        return false;
    }
    let mut alone = serde_json::Map::new();
    alone.extend(value.map(|value| (last.clone(), value.clone())));
    set(object, way, Some(&Value::Object(alone)));
    true
}

/// Leaves one item, with a key, in the lists around a field; false where there is none.
fn alone(object: &mut Value, field: &Field<'_>) -> bool {
    field.around.iter().all(|(steps, key)| {
        let Some(item) = get(object, steps).and_then(|list| list.get(0)).cloned() else { return false };
        set(object, steps, Some(&serde_json::json!([item])));
        key.iter().any(|name| item.get(name).is_some())
    })
}

fn run(rules: &FieldRule, base: &Value, ours: &Value, theirs: &Value, settled: &Settled) -> Merged {
    merge(&Sides { base: Some(base), ours, said: ours, theirs }, settled, Occasion::Fetched, rules)
}

/// What became of a field that both sides have changed.
fn outcome(merged: &Merged) -> &'static str {
    let Merged { conflicts, overruled, yielded, .. } = merged;
    match (conflicts.is_empty(), overruled.is_empty(), yielded.is_empty()) {
        (true, true, true) => "merged",
        (false, ..) => "asked",
        (true, false, _) => "ours, theirs kept",
        (true, true, false) => "theirs",
    }
}

/// Every question can be decided either way, and then both sides are one; settled, it is asked no more.
fn is_decidable(rules: &FieldRule, merged: &Merged, sides: [&Value; 3]) -> Result<(), String> {
    for decision in [Decision::Ours, Decision::Theirs] {
        let mut decided = merged.clone();
        for field in &merged.conflicts {
            if !decided.decide(rules, &field.path, decision.clone()) {
                return Err(format!("{} cannot be decided", field.path));
            }
        }
        if rules.in_form(&decided.value) != rules.in_form(&decided.outgoing) {
            return Err(format!("the sides differ once {decision:?} is said"));
        }
    }
    let settled: Settled = merged.conflicts.iter().map(|field| (field.path.clone(), field.settle(rules))).collect();
    let again = run(rules, sides[0], sides[1], sides[2], &settled);
    if again.conflicts.is_empty() { Ok(()) } else { Err("what was settled is asked again".to_owned()) }
}

/// What may become of it, by the field's owner.
fn allowed(field: &Field<'_>, outcome: &str) -> bool {
    let one = !field.list || field.rule.is_ordered();
    let by_owner = match field.rule.owner() {
        Owner::Internal => "ours, theirs kept",
        Owner::Ehr => "theirs",
        Owner::Review => "asked",
    };
    // Items may have been removed on one side and changed on the other; members have owners of their own.
    outcome == by_owner || (!one && matches!(outcome, "merged" | "asked" | "ours, theirs kept" | "theirs"))
}

fn row(
    object: &ObjectType,
    rules: &FieldRule,
    field: &Field<'_>,
    samples: &[Value],
    wrong: &mut Vec<String>,
) -> String {
    let pointer = field.pointer();
    let differ = |a: Option<&Value>, b: Option<&Value>| !rules.same(&pointer, a, b);
    let mut pool: Vec<Value> = Vec::new();
    for value in samples.iter().flat_map(|sample| every(sample, &field.steps)) {
        if pool.len() < POOL && pool.iter().all(|own| differ(Some(own), Some(value))) {
            pool.push(value.clone());
        }
    }
    let mut outcomes = BTreeSet::new();
    let mut tried = 0;
    for (at, sample) in samples.iter().enumerate() {
        for shift in 1..3 {
            let value = |step: usize| pool.get((at + step * shift) % pool.len().max(1));
            let (old, new, newer) = (value(0), value(1), value(2));
            if tried >= TRIED || !differ(new, newer) {
                break;
            }
            let mut base = sample.clone();
            // Of two values there is no third: both add it.
            let old = old.filter(|old| differ(Some(old), new) && differ(Some(old), newer));
            if !alone(&mut base, field) || !place(&mut base, &field.steps, old) {
                break;
            }
            let (mut ours, mut theirs) = (base.clone(), base.clone());
            place(&mut ours, &field.steps, new);
            place(&mut theirs, &field.steps, newer);
            if !object.is_valid(&ours) || !object.is_valid(&theirs) {
                // Beside other members it may not stand, like one form of a choice beside another.
                let narrow = |side: &mut Value, value| narrowed(side, &field.steps, value);
                if !(narrow(&mut base, old) && narrow(&mut ours, new) && narrow(&mut theirs, newer))
                    || !object.is_valid(&ours)
                    || !object.is_valid(&theirs)
                {
                    continue;
                }
            }
            tried += 1;
            let merged = run(rules, &base, &ours, &theirs, &Settled::new());
            let outcome = outcome(&merged);
            let mut problem = is_decidable(rules, &merged, [&base, &ours, &theirs]).err();
            if !allowed(field, outcome) {
                problem = Some(format!("{outcome}, owned by {:?}", field.rule.owner()));
            }
            if let Some(problem) = problem {
                wrong.push(format!("{} {}: {problem}\n  {base}\n  {ours}\n  {theirs}", object.name(), field.name()));
            }
            outcomes.insert(outcome);
        }
    }
    let owner = format!("{:?}", field.rule.owner()).to_lowercase();
    let outcomes = if outcomes.is_empty() { "(not seen)".to_owned() } else { Vec::from_iter(outcomes).join(", or ") };
    format!("| `{}` | {owner} | {} | {outcomes} |\n", field.name(), field.how())
}

const HEAD: &str = "# What becomes of a field that both sides have changed

For every field of every object, as the built-in mappings say it: who owns it, how far it is taken apart, and what the merge
did where both sides had changed it to something else (`mappings/README.md`, *Merging*). *asked*: a person decides; *ours,
theirs kept*: ours is written, theirs can be brought back; *theirs*: taken over; *merged*: both changes stand. Of lists, each
item by itself: *asked* where one side removed what the other changed.

Made and compared by `tests/merge.rs` on generated objects; `MERGE_TABLE=write cargo test --test liaison merge::` makes it anew.
";

#[test]
fn both_sides_change_every_field_of_every_object() {
    let mappings = all();
    let (mut table, mut wrong, mut seen, mut rows) = (HEAD.to_owned(), Vec::new(), 0, 0);
    for plan in mappings.plans().filter(|plan| plan.dialect() == "generic") {
        let object = mappings.object(plan.object()).expect("an object");
        let (rules, samples) = (plan.fields(), objects(object, plan, 42));
        let mut all = Vec::new();
        fields(rules, &[], &[], &samples, &mut all);
        write!(
            table,
            "\n## {}\n\n| field | owner | taken as | both sides change it |\n|---|---|---|---|\n",
            object.title()
        )
        .expect("a text");
        for field in &all {
            let row = row(object, rules, field, &samples, &mut wrong);
            rows += 1;
            seen += usize::from(!row.contains("(not seen)"));
            table.push_str(&row);
        }
    }
    assert!(wrong.is_empty(), "{} of {rows}:\n{}", wrong.len(), wrong[..wrong.len().min(8)].join("\n"));
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/merge-table.md");
    if std::env::var("MERGE_TABLE").as_deref() == Ok("write") {
        fs::write(&file, &table).expect("docs/ can be written");
    }
    let held = fs::read_to_string(&file).unwrap_or_default();
    let first = held.lines().zip(table.lines()).find(|(held, made)| held != made);
    assert!(
        held == table,
        "docs/merge-table.md is not what the mappings say; first: {first:?}. Make it anew as its head says"
    );
    // What few generated objects hold, or only in some forms of a choice, is named as not seen.
    assert!(seen * 100 >= rows * 88, "only {seen} of {rows} fields were seen changed on both sides");
}

#[test]
fn what_is_merged_without_a_question_is_a_valid_object() {
    let mappings = all();
    let (mut wrong, mut tried, mut asked) = (Vec::new(), 0, 0);
    for plan in mappings.plans().filter(|plan| plan.dialect() == "generic") {
        let object = mappings.object(plan.object()).expect("an object");
        let samples = objects(object, plan, 7);
        for (at, base) in samples.iter().enumerate() {
            // Each side takes some fields of another object.
            let take = |from: &Value, every: usize| {
                let mut side = base.clone();
                for (index, (name, value)) in from.as_object().into_iter().flatten().enumerate() {
                    if index % 4 == every {
                        side[name] = value.clone();
                    }
                }
                side
            };
            let other = |step: usize| &samples[(at + step) % samples.len()];
            let (ours, theirs) = (take(other(1), at % 4), take(other(3), (at / 4) % 4));
            if !object.is_valid(&ours) || !object.is_valid(&theirs) {
                continue;
            }
            tried += 1;
            let merged = run(plan.fields(), base, &ours, &theirs, &Settled::new());
            asked += usize::from(!merged.conflicts.is_empty());
            // Rules between fields (an end after its start) are judged by whoever takes the outcome in.
            let broken = object.validate(&merged.value).into_iter().any(|finding| finding.code != "LIA-MAP-016");
            if merged.conflicts.is_empty() && broken {
                wrong.push(format!("{}\n  {base}\n  {ours}\n  {theirs}\n  {}", object.name(), merged.value));
            }
            if let Err(problem) = is_decidable(plan.fields(), &merged, [base, &ours, &theirs]) {
                wrong.push(format!("{}: {problem}\n  {base}\n  {ours}\n  {theirs}", object.name()));
            }
        }
    }
    assert!(tried > 2_000 && asked > 100, "{tried} tried, {asked} asked");
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong[..wrong.len().min(6)].join("\n"));
}

/// The plan's fields, and what a mapping or its overlay says of them.
#[test]
fn the_mappings_say_what_a_merge_has_to_know() {
    let mappings = all();
    let plan = |object: &str| mappings.plan(object, "generic").expect("a plan");
    for object in ["appointment", "waitlist-entry"] {
        assert_eq!(plan(object).owner("/start"), Owner::Review);
        assert_eq!(plan(object).owner("/end"), Owner::Review);
        assert_eq!(plan(object).owner("/slots/0"), Owner::Ehr);
        assert_eq!(plan(object).fields().at("/participants/#0123456789ab/who").owner(), Owner::Internal);
    }
    let patient = plan("patient");
    assert_eq!(patient.fields().at("/contact_details").key(), ["kind", "value"]);
    assert_eq!(patient.fields().at("/identifiers").key(), ["system", "value"]);
    assert!(patient.fields().at("/names/given").is_ordered() && patient.fields().at("/addresses/lines").is_ordered());
    assert!(plan("medication").fields().at("/directions").is_ordered());
    assert!(!patient.fields().at("/race/categories").is_ordered(), "items that are plain values");
    assert_eq!(patient.owner("/links/0/kind"), Owner::Ehr, "inherited");
    let sent = serde_json::json!({"status": "booked", "start": "2026-05-04T09:30:00Z", "comment": "by the window"});
    let back = serde_json::json!({"status": "pending", "start": "2026-05-04T09:45:00Z"});
    let sides = Sides { base: Some(&sent), ours: &sent, said: &sent, theirs: &back };
    let merged = merge(&sides, &Settled::new(), Occasion::Answered, plan("appointment").fields());
    assert_eq!((merged.taken[0].path.as_str(), merged.conflicts[0].path.as_str()), ("/status", "/start"));
    assert_eq!(merged.dropped[0].path, "/comment");
}
