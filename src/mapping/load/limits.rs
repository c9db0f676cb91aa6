//! `forbid:` with a test, and `writes:`: what a dialect does not take, checked against the object's schema.

use super::{
    schema::Cursor,
    yaml::{Mistakes, Node, Place, nearest},
};
use crate::{
    fhir::Value,
    mapping::{
        Writes,
        plan::{Limit, Name, Refuse},
    },
};

/// The keys that test a value.
pub(super) const TESTS: &[&str] =
    &["values", "other_than", "media_types", "longer_than", "more_than", "without_time", "missing"];

/// One limit of a field; none (told) where it cannot be meant.
pub(super) fn limit(item: &Node, why: &str, schema: Cursor<'_>, mistakes: &mut Mistakes) -> Option<Limit> {
    let at = item.get("internal").map_or(&item.at, |node| &node.at);
    let Some(field) = item.text_at("internal", mistakes) else {
        mistakes.add(at, "say which field is meant: `internal`", "values are refused by field");
        return None;
    };
    let path: Vec<Name> = field.split('.').map(Name::from).collect();
    let cursor = at_path(field, &path, schema, at, mistakes)?;
    let mut tests = TESTS.iter().filter_map(|key| Some((*key, item.get(key)?)));
    let (key, value) = tests.next()?;
    if let Some((other, node)) = tests.next() {
        mistakes.add(&node.at, format!("`{key}` and `{other}` exclude each other"), "write two items");
        return None;
    }
    // All tests but those of the whole field are about the items of a list.
    let whole = matches!(key, "more_than" | "missing") || !cursor.is_array();
    let cursor = if whole { cursor } else { cursor.items()? };
    let test = self::test(key, value, field, cursor, mistakes)?;
    Some(Limit { path, test, why: why.into() })
}

fn test(key: &str, value: &Node, field: &str, schema: Cursor<'_>, mistakes: &mut Mistakes) -> Option<Refuse> {
    let mut wants = |kind: &str, word: &str| {
        let fits = schema.kind().is_none_or(|own| own == kind);
        if !fits {
            mistakes.add(&value.at, format!("`{key}` is for {word}, and `{field}` is none"), "see the object's schema");
        }
        fits
    };
    match key {
        "values" | "other_than" => {
            let values = match value.list() {
                Some(values) => values.iter().map(|value| (value.json(), &value.at)).collect(),
                None => vec![(value.json(), &value.at)],
            };
            for (said, at) in &values {
                allowed(field, said, schema, at, mistakes);
            }
            let values = values.into_iter().map(|(said, _)| said).collect();
            Some(if key == "values" { Refuse::Values(values) } else { Refuse::OtherThan(values) })
        }
        "media_types" if wants("string", "texts") => match value.texts() {
            Some(types) if !types.is_empty() => Some(Refuse::MediaTypes(types)),
            _ => {
                mistakes.add(&value.at, "`media_types` is a list", "for instance `[application/pdf, text/plain]`");
                None
            }
        },
        "longer_than" if wants("string", "texts") => count(key, value, mistakes).map(Refuse::LongerThan),
        "more_than" if wants("array", "lists") => count(key, value, mistakes).map(Refuse::MoreThan),
        "without_time" if wants("string", "times") => flag(key, value, mistakes).then_some(Refuse::WithoutTime),
        "missing" => flag(key, value, mistakes).then_some(Refuse::Missing),
        _ => None,
    }
}

fn count(key: &str, value: &Node, mistakes: &mut Mistakes) -> Option<usize> {
    let count = value.json().as_u64().and_then(|count| usize::try_from(count).ok());
    if count.is_none() {
        mistakes.add(&value.at, format!("`{key}` is a whole number"), "for instance `20`");
    }
    count
}

fn flag(key: &str, value: &Node, mistakes: &mut Mistakes) -> bool {
    let set = value.json() == Value::Bool(true);
    if !set {
        mistakes.add(&value.at, format!("`{key}` can only be `true`"), "leave it out otherwise");
    }
    set
}

/// A word that the schema does not know can never come, so refusing it is a slip.
pub(super) fn allowed(field: &str, said: &Value, schema: Cursor<'_>, at: &Place, mistakes: &mut Mistakes) {
    let Some(words) = schema.words().filter(|words| !words.contains(said)) else { return };
    let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
    let hint = match said.as_str().and_then(|said| nearest(said, words.iter().copied())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it allows: {}", words.join(", ")),
    };
    mistakes.add(at, format!("the schema's `{field}` does not allow this value"), hint);
}

/// The schema of a dotted field; lists on the way are gone through.
pub(super) fn at_path<'s>(
    field: &str,
    path: &[Name],
    schema: Cursor<'s>,
    at: &Place,
    mistakes: &mut Mistakes,
) -> Option<Cursor<'s>> {
    let mut cursor = schema;
    for name in path {
        if cursor.is_array() {
            cursor = cursor.items()?;
        }
        let Some(next) = cursor.field(name) else {
            let names = cursor.fields();
            let hint = match nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it has: {}", names.join(", ")),
            };
            mistakes.add(at, format!("the schema has no field `{field}`"), hint);
            return None;
        };
        cursor = next;
    }
    Some(cursor)
}

/// `writes:`; `why` is the overlay's.
pub(super) fn writes(node: &Node, why: Option<&str>, mistakes: &mut Mistakes) -> Writes {
    let words = node.texts().unwrap_or_default();
    for word in words.iter().filter(|word| !["create", "update"].contains(&word.as_str())) {
        let hint = match nearest(word, ["create", "update"]) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`[create, update]`, `[create]`, `[update]` or `[]` (read only)".to_owned(),
        };
        mistakes.add(&node.at, format!("`{word}` is nothing that a dialect takes"), hint);
    }
    if node.list().is_none() {
        mistakes.add(&node.at, "`writes` is a list", "`[create, update]`, `[create]`, `[update]` or `[]` (read only)");
    }
    let has = |wanted: &str| words.iter().any(|word| word == wanted);
    let writes = Writes { create: has("create"), update: has("update"), why: why.unwrap_or_default().to_owned() };
    if why.is_none() && !(writes.create && writes.update) {
        mistakes.add(&node.at, "what is not taken must say why", "add `why: \"…\"` to the overlay; people read it");
    }
    writes
}
