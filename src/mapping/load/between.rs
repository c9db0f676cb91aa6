//! `checks:`, rules between fields, checked against the object's schema: what cannot be meant is told with its place.

use super::{
    limits::at_path,
    schema::Cursor,
    yaml::{Mistakes, Node, nearest},
};
use crate::mapping::{
    between::{Between, Test},
    plan::{Condition, Name},
};

const KEYS: &[&str] =
    &["name", "in", "order", "some", "holds", "fields", "bytes_at_most", "when", "severity", "says", "remedy"];
const TESTS: &[&str] = &["order", "some", "holds", "bytes_at_most"];

/// The rules of a list; `path` leads to the objects that they are about, whose schema is `schema`.
pub(super) fn read(node: &Node, path: &[Name], schema: Cursor<'_>, mistakes: &mut Mistakes) -> Vec<Between> {
    let Some(items) = node.list() else {
        mistakes.add(&node.at, "`checks` is a list of rules", "start each with `- name: …`");
        return Vec::new();
    };
    let made: Vec<Between> = items.iter().filter_map(|item| rule(item, path, schema, mistakes)).collect();
    for (at, rule) in made.iter().enumerate() {
        if made[..at].iter().any(|other| other.name == rule.name) {
            mistakes.add(
                &items[at].at,
                format!("two checks are called `{}`", rule.name),
                "give each a name of its own",
            );
        }
    }
    made
}

fn rule(node: &Node, path: &[Name], schema: Cursor<'_>, mistakes: &mut Mistakes) -> Option<Between> {
    node.only(KEYS, mistakes);
    let mut said = |key: &str, hint: &str| match node.text_at(key, mistakes) {
        Some(text) => Some(Name::from(text)),
        None if node.get(key).is_some() => None,
        None => {
            mistakes.add(&node.at, format!("a check needs its `{key}`"), hint);
            None
        }
    };
    let (name, says, remedy) = (
        said("name", "a short word, for instance `name: ends after its start`"),
        said("says", "what is wrong, in a sentence for people"),
        said("remedy", "what to do about it, in a sentence"),
    );
    let warns = match node.text_at("severity", mistakes) {
        None | Some("error") => false,
        Some("warning") => true,
        Some(_) => {
            let at = node.get("severity").map_or(&node.at, |node| &node.at);
            mistakes.add(at, "a severity is `error` or `warning`", "leave it out for an error");
            false
        }
    };
    let (mut path, mut schema) = (path.to_vec(), schema);
    if let Some(within) = node.get("in") {
        let text = node.text_at("in", mistakes)?;
        let way = names(text);
        schema = at_path(text, &way, schema, &within.at, mistakes)?;
        schema = if schema.is_array() { schema.items()? } else { schema };
        path.extend(way);
    }
    let (fields, test) = test(node, schema, mistakes)?;
    let when = condition(node, "when", mistakes);
    Some(Between { path, name: name?, fields, test, when, says: says?, remedy: remedy?, warns })
}

fn names(text: &str) -> Vec<Name> {
    text.split('.').map(Name::from).collect()
}

fn test(node: &Node, schema: Cursor<'_>, mistakes: &mut Mistakes) -> Option<(Vec<Vec<Name>>, Test)> {
    let mut given = TESTS.iter().filter_map(|key| Some((*key, node.get(key)?)));
    let Some((key, value)) = given.next() else {
        mistakes.add(&node.at, "the check does not say what is demanded", format!("one of: {}", TESTS.join(", ")));
        return None;
    };
    if let Some((other, second)) = given.next() {
        mistakes.add(&second.at, format!("`{key}` and `{other}` exclude each other"), "write two checks");
        return None;
    }
    let listed = matches!(key, "holds" | "bytes_at_most");
    if let Some(fields) = node.get("fields").filter(|_| !listed) {
        mistakes.add(&fields.at, format!("`{key}` names its fields itself"), "leave `fields` out");
    }
    let holder = if listed { node.get("fields") } else { Some(value) };
    let Some((holder, texts)) =
        holder.and_then(|holder| Some((holder, holder.texts()?))).filter(|(_, all)| !all.is_empty())
    else {
        let at = holder.map_or(&node.at, |holder| &holder.at);
        mistakes.add(
            at,
            "it is not said which fields are meant",
            if listed { "add `fields: [ … ]`" } else { "a list of fields" },
        );
        return None;
    };
    let mut fields = Vec::new();
    for text in &texts {
        let field = names(text);
        let cursor = at_path(text, &field, schema, &holder.at, mistakes)?;
        let wanted = match key {
            "order" => cursor.kind() == Some("string") && cursor.words().is_none(),
            "bytes_at_most" => cursor.kind() == Some("string"),
            _ => true,
        };
        if !wanted {
            let what = if key == "order" { "a time or date" } else { "base64 text" };
            mistakes.add(&holder.at, format!("`{text}` is not {what}"), "see the object's schema");
            return None;
        }
        fields.push(field);
    }
    let test = match key {
        "order" if fields.len() == 2 => Test::Order,
        "order" => {
            mistakes.add(&value.at, "`order` compares two fields", "write `order: [start, end]`");
            return None;
        }
        "some" => Test::Some,
        "holds" => {
            let condition = condition(node, "holds", mistakes)?;
            for (text, field) in texts.iter().zip(&fields) {
                let last = field.last().map_or("", |name| &**name);
                if !words(condition.text()).any(|word| word == last) {
                    mistakes.add(
                        &holder.at,
                        format!("`holds` does not look at `{text}`"),
                        "name the fields that it compares",
                    );
                }
            }
            unknown_words(&condition, schema, value, mistakes);
            Test::Holds(condition)
        }
        _ => match value.json().as_u64().and_then(|most| usize::try_from(most).ok()) {
            Some(most) if most > 0 => Test::Bytes(most),
            _ => {
                mistakes.add(&value.at, "`bytes_at_most` is a whole number", "for instance `1048576`");
                return None;
            }
        },
    };
    Some((fields, test))
}

fn condition(node: &Node, key: &str, mistakes: &mut Mistakes) -> Option<Condition> {
    let text = node.text_at(key, mistakes)?;
    match Condition::parse(text) {
        Ok(condition) => Some(condition),
        Err(error) => {
            let at = node.get(key).map_or(&node.at, |node| &node.at);
            mistakes.add(at, format!("`{key}` is no FHIRPath: {error}"), "");
            None
        }
    }
}

/// The words of an expression outside of its texts.
fn words(expression: &str) -> impl Iterator<Item = &str> {
    expression
        .split('\'')
        .step_by(2)
        .flat_map(|part| part.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')))
        .filter(|word| !word.is_empty())
}

/// The first word of an expression must be a field: a slip there makes a check that never, or always, holds.
fn unknown_words(condition: &Condition, schema: Cursor<'_>, at: &Node, mistakes: &mut Mistakes) {
    let Some(first) = words(condition.text()).next() else { return };
    let call = condition.text().trim_start().strip_prefix(first).is_some_and(|rest| rest.trim_start().starts_with('('));
    if call || schema.field(first).is_some() || matches!(first, "true" | "false") {
        return;
    }
    let names = schema.fields();
    let hint = match nearest(first, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it has: {}", names.join(", ")),
    };
    mistakes.add(&at.at, format!("the schema has no field `{first}`"), hint);
}
