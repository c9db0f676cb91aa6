//! Three-way merging of an internal object: what the EHR changed since the base is taken over, what we changed is
//! kept, and where both changed the same field its owner decides, or a person. Pure. Equal content is never a
//! conflict. Lists are one field; members of objects are fields of their own.

use serde_json::{Map, Value};

use crate::{fhir::canonically_equal, mapping::Owner};

/// A field on which both sides disagree.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// JSON pointer into the internal object.
    pub path: String,
    /// What both started from.
    pub base: Option<Value>,
    /// Our value.
    pub ours: Option<Value>,
    /// The EHR's value.
    pub theirs: Option<Value>,
    /// Who decides.
    pub owner: Owner,
}

impl Field {
    /// The worklist's form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::json!({
            "path": dotted(&self.path), "base": self.base, "ours": self.ours, "theirs": self.theirs, "owner": self.owner,
        })
    }
}

/// What the merge came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The object with all that is decided; undecided fields hold our value.
    pub value: Value,
    /// Whether it differs from what we had.
    pub takes_theirs: bool,
    /// Whether it differs from what the EHR has, so that something needs sending.
    pub keeps_ours: bool,
    /// Whether both changed a field that is ours to decide, so that the EHR's value must be written over.
    pub overrules: bool,
    /// What a person must decide.
    pub conflicts: Vec<Field>,
}

/// Merges. `base` and `theirs` are what the mapping reads out of the EHR's resources, `said` is `ours` as the mapping
/// would read it back. Without a base every difference counts as changed on both sides.
#[must_use]
pub fn merge(
    base: Option<&Value>,
    ours: &Value,
    said: &Value,
    theirs: &Value,
    owner: &dyn Fn(&str) -> Owner,
) -> Merged {
    let mut merged =
        Merged { value: ours.clone(), takes_theirs: false, keeps_ours: false, overrules: false, conflicts: Vec::new() };
    walk(&mut merged, "", base.map(Some), Some(said), Some(theirs), owner);
    merged
}

/// `base` is `None` where there is none at all, `Some(None)` where it lacks this field.
fn walk(
    merged: &mut Merged,
    path: &str,
    base: Option<Option<&Value>>,
    said: Option<&Value>,
    theirs: Option<&Value>,
    owner: &dyn Fn(&str) -> Owner,
) {
    if same(said, theirs) {
        return;
    }
    if let (Some(Value::Object(said)), Some(Value::Object(theirs))) = (said, theirs)
        && is_group(said)
        && is_group(theirs)
    {
        let none = Map::new();
        let known = base.map(|base| base.and_then(Value::as_object).unwrap_or(&none));
        let keys = said.keys().chain(theirs.keys().filter(|key| !said.contains_key(*key)));
        for key in keys.filter(|key| !(path.is_empty() && matches!(key.as_str(), "id" | "version"))) {
            let child = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
            walk(merged, &child, known.map(|base| base.get(key)), said.get(key), theirs.get(key), owner);
        }
        return;
    }
    let (we_changed, they_changed) = match base {
        Some(base) => (!same(base, said), !same(base, theirs)),
        // Without a base, what only one side has was added there.
        None => (!absent(said), !absent(theirs)),
    };
    match (we_changed, they_changed, owner(path)) {
        (false, _, _) | (true, true, Owner::Ehr) => {
            merged.takes_theirs = true;
            set(&mut merged.value, path, theirs.cloned());
        }
        (true, false, _) => merged.keeps_ours = true,
        (true, true, Owner::Internal) => {
            merged.keeps_ours = true;
            merged.overrules = true;
        }
        (true, true, Owner::Review) => merged.conflicts.push(Field {
            path: path.to_owned(),
            base: base.flatten().cloned(),
            ours: said.cloned(),
            theirs: theirs.cloned(),
            owner: Owner::Review,
        }),
    }
}

/// References, identifiers and attachments are one value; anything else with members is a group of fields.
fn is_group(members: &Map<String, Value>) -> bool {
    !["object", "reference", "system", "content_type"].iter().any(|key| members.contains_key(*key))
}

fn absent(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(members)) => members.is_empty(),
        Some(_) => false,
    }
}

fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) if canonically_equal(a, b) => true,
        _ => absent(a) && absent(b),
    }
}

/// Sets (or with `None` removes) the value at a JSON pointer whose steps are member names, making objects on the way.
pub fn set(target: &mut Value, pointer: &str, value: Option<Value>) {
    let steps: Vec<String> =
        pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    let Some((last, parents)) = steps.split_last() else {
        if let Some(value) = value {
            *target = value;
        }
        return;
    };
    let mut at = target;
    for step in parents {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        let Value::Object(members) = at else { return };
        at = members.entry(step.as_str()).or_insert_with(|| Value::Object(Map::new()));
    }
    if !at.is_object() {
        *at = Value::Object(Map::new());
    }
    if let Value::Object(members) = at {
        match value {
            Some(value) => {
                members.insert(last.clone(), value);
            }
            None => {
                members.shift_remove(last);
            }
        }
    }
}

/// A merge patch (RFC 7396).
pub fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            members.shift_remove(key);
        } else {
            merge_patch(members.entry(key.as_str()).or_insert(Value::Null), value);
        }
    }
}

/// A pointer as people write field paths: `/contact/phone` → `contact.phone`.
#[must_use]
pub fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn owner(path: &str) -> Owner {
        match path {
            "/status" => Owner::Ehr,
            "/start" => Owner::Review,
            _ => Owner::Internal,
        }
    }

    fn run(base: Value, ours: Value, theirs: Value) -> Merged {
        merge(Some(&base), &ours, &ours, &theirs, &owner)
    }

    #[test]
    fn each_side_keeps_what_only_it_changed() {
        let merged = run(
            json!({"note": "a", "room": {"name": "1", "floor": 2}, "start": "9"}),
            json!({"note": "b", "room": {"name": "1", "floor": 2}, "start": "9"}),
            json!({"note": "a", "room": {"name": "2", "floor": 2}, "start": "9"}),
        );
        assert_eq!(merged.value, json!({"note": "b", "room": {"name": "2", "floor": 2}, "start": "9"}));
        assert!(merged.takes_theirs && merged.keeps_ours && merged.conflicts.is_empty());
    }

    #[test]
    fn owners_decide_where_both_changed() {
        let merged = run(
            json!({"status": "booked", "start": "9", "note": "a"}),
            json!({"status": "arrived", "start": "10", "note": "b"}),
            json!({"status": "cancelled", "start": "11", "note": "c"}),
        );
        assert_eq!(merged.value["status"], "cancelled");
        assert_eq!(merged.value["note"], "b");
        assert_eq!(merged.conflicts.len(), 1);
        assert_eq!(
            merged.conflicts[0].to_json(),
            json!({
            "path": "start", "base": "9", "ours": "10", "theirs": "11", "owner": "review"})
        );
    }

    #[test]
    fn equal_content_is_never_a_conflict_even_without_a_base() {
        let both = json!({"start": "10", "note": "x", "empty": []});
        let merged = merge(None, &both, &both, &json!({"note": "x", "start": "10"}), &owner);
        assert!(!merged.takes_theirs && !merged.keeps_ours && merged.conflicts.is_empty());
    }

    #[test]
    fn fields_that_the_mapping_does_not_say_stay() {
        let ours = json!({"note": "a", "only_here": 1});
        let merged = merge(Some(&json!({"note": "a"})), &ours, &json!({"note": "a"}), &json!({"note": "b"}), &owner);
        assert_eq!(merged.value, json!({"note": "b", "only_here": 1}));
    }

    #[test]
    fn a_removed_field_is_a_change() {
        let merged =
            run(json!({"note": "a", "reason": "r"}), json!({"note": "a", "reason": "r"}), json!({"note": "a"}));
        assert_eq!(merged.value, json!({"note": "a"}));
    }

    #[test]
    fn merge_patch_follows_its_rfc() {
        let mut target = json!({"a": "b", "c": {"d": "e", "f": "g"}});
        merge_patch(&mut target, &json!({"a": "z", "c": {"f": null}, "n": {"m": 1}}));
        assert_eq!(target, json!({"a": "z", "c": {"d": "e"}, "n": {"m": 1}}));
    }

    fn any_object() -> impl Strategy<Value = Value> {
        proptest::collection::btree_map(
            "[a-d]",
            prop_oneof![
                (0..3_i32).prop_map(|n| json!(n)),
                proptest::collection::btree_map("[x-z]", (0..3_i32).prop_map(|n| json!(n)), 0..3)
                    .prop_map(|m| json!(m)),
            ],
            0..4,
        )
        .prop_map(|m| json!(m))
    }

    proptest! {
        #[test]
        fn one_sided_changes_win_whole(base in any_object(), other in any_object()) {
            let keep = merge(Some(&base), &other, &other, &base, &|_| Owner::Review);
            prop_assert!(keep.conflicts.is_empty() && !keep.takes_theirs);
            prop_assert_eq!(&keep.value, &other);
            let take = merge(Some(&base), &base, &base, &other, &|_| Owner::Review);
            prop_assert!(take.conflicts.is_empty() && !take.keeps_ours);
            prop_assert!(same(Some(&take.value), Some(&other)) || !same(Some(&base), Some(&other)));
        }

        #[test]
        fn nothing_is_decided_silently_under_review(base in any_object(), ours in any_object(), theirs in any_object()) {
            let merged = merge(Some(&base), &ours, &ours, &theirs, &|_| Owner::Review);
            for field in &merged.conflicts {
                prop_assert!(!same(field.ours.as_ref(), field.theirs.as_ref()));
                prop_assert!(!same(field.base.as_ref(), field.ours.as_ref()) && !same(field.base.as_ref(), field.theirs.as_ref()));
            }
        }
    }
}
