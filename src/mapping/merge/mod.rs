//! The one merge of internal objects: push, fetch, adoption, answer and `Prefer: merge` share it. Three ways and pure: what
//! one side changed since the base is kept, where both changed a field its owner decides, or a person. Members of groups are
//! fields of their own, lists merge item by item, what is the same in form is no difference, and what was settled as
//! different stays so. What it has to know of a field is data in the mapping ([`FieldRule`]).
//! Nothing of theirs goes without a trace: it is in the outcome's value, or in one of its lists.

mod decide;
mod field;
mod form;
mod list;
mod pair;
mod path;
mod settled;
#[cfg(test)]
mod tests;
mod walk;

pub use decide::Occasion;
pub use field::FieldRule;
pub use path::{dotted, merge_patch, set};
pub use settled::{Settled, SettledPair, settle};

use serde_json::{Value, json};

use super::Owner;

/// What is merged. All but `ours` are what the mapping reads out of resources, or would.
#[derive(Clone, Copy, Debug)]
pub struct Sides<'a> {
    /// What both started from: when they agreed last, or what was sent. None: nobody knows.
    pub base: Option<&'a Value>,
    /// Our object.
    pub ours: &'a Value,
    /// Ours as the mapping would read it back ([`super::Plan::normalise`]).
    pub said: &'a Value,
    /// Theirs.
    pub theirs: &'a Value,
}

/// A field on which both sides disagree, or disagreed.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// JSON pointer into the object. A list's item is named by its key, `/contact_details/#5f3a9c01d2e4/use`: see
    /// [`FieldRule::set`].
    pub path: String,
    /// What both started from.
    pub base: Option<Value>,
    /// Our value.
    pub ours: Option<Value>,
    /// Theirs.
    pub theirs: Option<Value>,
    /// Who decides.
    pub owner: Owner,
}

impl Field {
    /// The worklist's form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "path": dotted(&self.path), "base": self.base, "ours": self.ours, "theirs": self.theirs, "owner": self.owner,
        })
    }

    /// Both values, so that they are never asked for nor sent again.
    #[must_use]
    pub fn settle(&self, rules: &FieldRule) -> SettledPair {
        let pair = settle(rules, &self.path, self.ours.as_ref(), self.theirs.as_ref());
        SettledPair { base: settled::hash(self.base.as_ref(), rules.at(&self.path)), ..pair }
    }
}

/// What the merge came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merged {
    /// Ours with all that is decided; what is undecided, dropped or settled holds our value.
    pub value: Value,
    /// What is to be written there: as `value`, but what is undecided, dropped or settled as they hold it, and in their
    /// form and order, so that an unrelated change never carries ours over.
    pub outgoing: Value,
    /// Something of theirs was taken over: `value` differs from ours.
    pub takes_theirs: bool,
    /// Something of ours is still to be written there: `outgoing` differs from theirs.
    pub keeps_ours: bool,
    /// What a person must decide.
    pub conflicts: Vec<Field>,
    /// Both changed it and we own it: ours stands, theirs can be brought back from here ([`FieldRule::set`]).
    pub overruled: Vec<Field>,
    /// Both changed it and the EHR owns it: theirs stands.
    pub yielded: Vec<Field>,
    /// Only they changed it: taken over.
    pub taken: Vec<Field>,
    /// Answers only: it was sent, and they show nothing there, or not all of it.
    pub dropped: Vec<Field>,
    /// Settled pairs that still hold, by path; all others may be forgotten.
    pub settled: Vec<String>,
}

/// What a person (or a sender) says about a field in question.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Ours goes there.
    Ours,
    /// Theirs is taken over.
    Theirs,
    /// Neither; none: it is removed on both sides.
    Value(Option<Value>),
}

/// Merges.
#[must_use]
pub fn merge(sides: &Sides<'_>, settled: &Settled, occasion: Occasion, rules: &FieldRule) -> Merged {
    walk::merge(sides, settled, occasion, rules)
}

impl Merged {
    /// Asks about a field that would be decided by itself (taken over, yielded, overruled): each side keeps its own until a
    /// person decides.
    pub fn doubt(&mut self, rules: &FieldRule, path: &str) {
        let out_of = |list: &mut Vec<Field>| {
            let at = list.iter().position(|field| field.path == path);
            at.map(|at| list.remove(at))
        };
        if let Some(field) = out_of(&mut self.taken).or_else(|| out_of(&mut self.yielded)) {
            path::put(rules, &mut self.value, path, field.ours.clone(), Some(field.theirs.as_ref()));
            self.takes_theirs = !self.taken.is_empty() || !self.yielded.is_empty();
            self.conflicts.push(field);
        } else if let Some(field) = out_of(&mut self.overruled) {
            path::put(rules, &mut self.outgoing, path, field.theirs.clone(), Some(field.ours.as_ref()));
            self.conflicts.push(field);
        }
    }

    /// Decides a conflict; false where that field is in no conflict.
    pub fn decide(&mut self, rules: &FieldRule, path: &str, decision: Decision) -> bool {
        let Some(at) = self.conflicts.iter().position(|field| field.path == path) else { return false };
        let field = self.conflicts.remove(at);
        let decided = match decision {
            Decision::Ours => field.ours.clone(),
            Decision::Theirs => field.theirs.clone(),
            Decision::Value(value) => value,
        };
        let rule = rules.at(path);
        if !form::same(decided.as_ref(), field.ours.as_ref(), rule) {
            path::put(rules, &mut self.value, path, decided.clone(), Some(field.ours.as_ref()));
            self.takes_theirs = true;
        }
        if !form::same(decided.as_ref(), field.theirs.as_ref(), rule) {
            path::put(rules, &mut self.outgoing, path, decided, Some(field.theirs.as_ref()));
            self.keeps_ours = true;
        }
        true
    }
}

impl FieldRule {
    /// Sets (or with `None` removes) what a pointer of [`Field::path`] names, making objects on the way. A step
    /// `#…` is the item of a list whose key (or, where the list has none, whose whole value) hashes to it; `-2` at its end
    /// is the second such item. An item that is not there is added at the end.
    pub fn set(&self, target: &mut Value, pointer: &str, value: Option<Value>) {
        path::put(self, target, pointer, value, None);
    }

    /// Whether two values of the field at a pointer are the same; both may be absent.
    #[must_use]
    pub fn same(&self, pointer: &str, a: Option<&Value>, b: Option<&Value>) -> bool {
        form::same(a, b, self.at(pointer))
    }

    /// The form in which an object is compared; two objects that say the same have one.
    #[must_use]
    pub fn in_form(&self, value: &Value) -> Value {
        form::in_form(value, self).unwrap_or_default()
    }
}
