//! What a mapping says that it loses: fields whose rule is declared lossy or one-way, and fields that a dialect is not
//! sent. Everything else must come back as it was sent.

use serde_json::Value;

use super::{
    Plan,
    plan::{Direction, Kind, Name, Scope},
};

/// One declared loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The field, dotted; items of lists are meant without index.
    pub field: String,
    /// Why, in the author's words.
    pub why: String,
}

impl Plan {
    /// The declared losses.
    #[must_use]
    pub fn losses(&self) -> Vec<Loss> {
        let mut losses: Vec<Loss> =
            self.left_out.iter().map(|(field, why)| Loss { field: field.clone(), why: why.clone() }).collect();
        for part in &self.parts {
            walk(&part.scope, "", &mut losses);
        }
        losses
    }

    /// An object without the fields that are declared lost.
    #[must_use]
    pub fn without_losses(&self, internal: &Value) -> Value {
        let paths = self.lost.get_or_init(|| {
            self.losses().iter().map(|loss| loss.field.split('.').map(str::to_owned).collect()).collect()
        });
        let mut kept = internal.clone();
        for path in paths {
            remove(&mut kept, path);
        }
        kept
    }
}

fn walk(scope: &Scope, prefix: &str, losses: &mut Vec<Loss>) {
    for rule in &scope.rules {
        let field = join(prefix, &rule.internal);
        let one_way = rule.direction != Direction::Both;
        let derived = matches!(rule.kind, Kind::Compute(_) | Kind::Fixed(_));
        // The id is written to every part and read from the main one.
        let identity = &*rule.target.text == "id" || field == "id";
        if (rule.lossy.is_some() || one_way) && !derived && !identity {
            losses.push(Loss { field, why: rule.lossy.as_deref().unwrap_or("one way").to_owned() });
        } else if let Kind::Group(inner) | Kind::Each { scope: inner, .. } | Kind::Contained { scope: inner, .. } =
            &rule.kind
        {
            walk(inner, &field, losses);
        }
    }
}

pub(crate) fn join(prefix: &str, internal: &[Name]) -> String {
    match (prefix.is_empty(), internal.is_empty()) {
        (true, _) => internal.join("."),
        (false, true) => prefix.to_owned(),
        (false, false) => format!("{prefix}.{}", internal.join(".")),
    }
}

fn remove(value: &mut Value, path: &[String]) {
    match (value, path) {
        (Value::Array(items), path) => items.iter_mut().for_each(|item| remove(item, path)),
        (Value::Object(members), [last]) => {
            members.shift_remove(last);
        }
        (Value::Object(members), [first, rest @ ..]) => {
            if let Some(inner) = members.get_mut(first) {
                remove(inner, rest);
                if inner.as_object().is_some_and(serde_json::Map::is_empty) {
                    members.shift_remove(first);
                }
            }
        }
        _ => {}
    }
}
