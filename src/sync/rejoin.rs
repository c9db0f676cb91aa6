//! An edit that our write went over, because the EHR ignored the condition under which we wrote: what was changed there is
//! joined with what we wrote, and that is written as the next version. Each such write is looked at like the first one.

use serde_json::{Map, Value};

use super::{
    Error,
    base::{in_place_of, same_value},
    merge::{Decision, Field, Occasion},
    prepare::{Prepared, Subject},
    record::same_content,
    scene::Scene,
    sender::Sender,
    setup::System,
};

/// So often an edit is joined with ours before a person is told.
pub(super) const ROUNDS: u32 = 5;

/// What this turn has written over an edit so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Rejoin {
    pub rounds: u32,
    /// The version under which the last one was written.
    pub version: Option<String>,
    /// Values of theirs that ours replaces in what is written now.
    pub overruled: Vec<Field>,
    /// What our last write was made from, what it wrote, and the object that it says.
    under: Option<Value>,
    mine: Option<Value>,
    ours: Option<Value>,
}

/// What stood between what was read and what was written.
#[derive(Clone, Debug, Default)]
pub(super) enum Between {
    /// Not looked at, or it cannot be.
    #[default]
    Unknown,
    /// Nobody's edit.
    Nothing,
    /// Somebody's edit: this holds both.
    Edit(Box<Value>),
}

impl Sender {
    /// Compares what stood between with what our write was made from.
    pub(super) fn rejoin(&self, system: &System, scene: &mut Scene, lost: Option<&Value>) -> Result<(), Error> {
        scene.between = Between::Unknown;
        let (Some(sent), Some(lost)) = (scene.sent.clone(), lost) else { return Ok(()) };
        let first = || sent.part.held.as_ref().and_then(|held| held.body.clone());
        let before = scene.rejoin.clone();
        let (under, mine) = (before.under.or_else(first), before.mine.unwrap_or_else(|| sent.part.resource.clone()));
        if under.as_ref().is_some_and(|under| same_content(under, lost)) || same_content(&mine, lost) {
            scene.between = Between::Nothing;
            return Ok(());
        }
        let part = sent.part.part.as_str();
        let subject =
            Subject { ours: before.ours.unwrap_or_else(|| scene.subject.ours.clone()), ..scene.subject.clone() };
        let sides = under.as_ref().map(|under| in_place_of(scene, part, under));
        let theirs = in_place_of(scene, part, lost);
        let outcome = self.translator.merged(system, &subject, sides.as_deref(), &theirs, Occasion::Fetched);
        let (mut merged, rules) = (outcome.merged, subject.plan.fields());
        if before.rounds > 0 {
            // What we wrote back is theirs, too: of two edits of theirs the later one stands.
            let decided = merged.conflicts.iter().chain(&merged.overruled);
            let paths: Vec<String> = decided.map(|field| field.path.clone()).collect();
            for path in &paths {
                merged.doubt(rules, path);
                merged.decide(rules, path, Decision::Theirs);
            }
        }
        let (ours, overruled) = (merged.outgoing, merged.overruled);
        let into = in_place_of(scene, part, &carried(under.as_ref(), lost, &mine));
        let joined = match self.translator.prepare(system, &scene.row, &subject.plan, &ours, &into) {
            Ok(Prepared::Ready(parts)) => parts.into_iter().find(|out| out.part == part).map(|out| out.resource),
            // Theirs as it was, and ours again with the next turn.
            Ok(Prepared::Waiting(_)) | Err(Error::Invalid(_)) => None,
            Err(error) => return Err(error),
        };
        let joined = joined.unwrap_or_else(|| lost.clone());
        let version = scene.answered.as_ref().and_then(|seen| seen.version.clone());
        let rounds = before.rounds + 1;
        let (mine, ours, last) = (Some(joined.clone()), Some(ours), Some(mine));
        scene.rejoin = Rejoin { rounds, version, overruled, under: last, mine, ours };
        scene.between = Between::Edit(Box::new(joined));
        Ok(())
    }
}

/// Theirs, with the elements that only ours changed: for what no mapping reads.
fn carried(under: Option<&Value>, theirs: &Value, mine: &Value) -> Value {
    let none = Map::new();
    let (under, mine) = (under.and_then(Value::as_object).unwrap_or(&none), mine.as_object().unwrap_or(&none));
    let mut joined = theirs.as_object().cloned().unwrap_or_default();
    for name in under.keys().chain(mine.keys()).filter(|name| !matches!(name.as_str(), "id" | "meta")) {
        let (before, ours) = (under.get(name), mine.get(name));
        if same_value(before, joined.get(name)) && !same_value(before, ours) {
            match ours {
                Some(value) => _ = joined.insert(name.clone(), value.clone()),
                None => _ = joined.shift_remove(name),
            }
        }
    }
    Value::Object(joined)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_only_one_side_changed_is_carried() {
        let under = json!({"id": "1", "a": 1, "b": 1, "c": 1, "d": 1});
        let theirs = json!({"id": "1", "a": 2, "b": 1, "c": 1, "d": 3, "new": 1});
        let mine = json!({"id": "1", "a": 1, "b": 2, "d": 4, "own": 1});
        let joined = json!({"id": "1", "a": 2, "b": 2, "d": 3, "new": 1, "own": 1});
        assert!(crate::fhir::canonically_equal(&carried(Some(&under), &theirs, &mine), &joined));
        assert_eq!(carried(None, &theirs, &theirs), theirs);
    }
}
