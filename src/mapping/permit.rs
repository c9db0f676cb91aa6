//! What a system takes: whether new objects of a kind or changes of them, which steps of the status, which values. Asked
//! before anything is sent, so that a person hears it at once and in plain words. Refuses nothing that is there already.

use serde_json::Value;

use super::{
    Context, MappingError, Part, Plan,
    plan::{Refuse, found},
};
use crate::{
    error::{Explained, Finding},
    fhir::canonically_equal,
};

/// What a dialect lets others do with the resources of an object (`writes:`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writes {
    /// New ones are taken.
    pub create: bool,
    /// Changes are taken.
    pub update: bool,
    /// Why not, in words for people; empty where both are.
    pub why: String,
}

impl Default for Writes {
    fn default() -> Self {
        Self { create: true, update: true, why: String::new() }
    }
}

impl Plan {
    /// What may be written. Not part of [`Plan::put`], which only translates: ask [`Plan::permits`].
    #[must_use]
    pub const fn writes(&self) -> &Writes {
        &self.writes
    }

    /// Whether [`Self::permits`] could ever find something: the dialect restricts writing or the steps of the status.
    #[must_use]
    pub const fn is_choosy(&self) -> bool {
        self.narrowed || !self.writes.create || !self.writes.update
    }

    /// What keeps an object from being written to a system of this dialect, in plain words: `before` is what the system
    /// holds ([`Plan::said`]), none where it holds nothing. Writing what is there already is always permitted.
    #[must_use]
    pub fn permits(&self, before: Option<&Value>, after: &Value, context: &Context) -> Vec<Finding> {
        let (system, title) = (&self.dialect_title, &self.title);
        match before {
            None if !self.writes.create => {
                let detail = format!("{system} takes no new record of this kind ({title}). {}", self.writes.why);
                vec![finding("", "LIA-MAP-014", detail, format!("make it in {system} itself"))]
            }
            None => self.beginning(after).into_iter().collect(),
            Some(before) if self.same(before, after, context) => Vec::new(),
            Some(_) if !self.writes.update => {
                let detail =
                    format!("{system} takes no change of a record of this kind ({title}). {}", self.writes.why);
                vec![finding("", "LIA-MAP-014", detail, format!("change it in {system} itself"))]
            }
            Some(before) => self.step(before, after).into_iter().collect(),
        }
    }

    /// All that keeps an object from being written over what a system holds (nothing: an empty list): values without a
    /// counterpart, and what [`Self::permits`] finds.
    #[must_use]
    pub fn not_taken(&self, after: &Value, held: &[Part], context: &Context) -> Vec<Finding> {
        let before = (!held.is_empty()).then(|| self.said(held, context));
        let mut findings = self.permits(before.as_ref(), after, context);
        match self.put_over(after, held, before.as_ref(), context) {
            Err(MappingError::Unsayable(unsayable)) => findings.extend(unsayable),
            Err(error) => findings.push(finding("", error.code(), error.to_string(), String::new())),
            Ok(_) => {}
        }
        findings
    }

    fn same(&self, before: &Value, after: &Value, context: &Context) -> bool {
        let after = self.without_losses(&self.normalise(after, context));
        canonically_equal(&self.without_losses(before), &after)
    }

    /// Whether a new object may begin as it does.
    fn beginning(&self, after: &Value) -> Option<Finding> {
        let table = self.transitions.as_ref().filter(|table| self.narrowed && !table.new.is_empty())?;
        let said = after.get(&table.field)?.as_str()?;
        if table.new.iter().any(|word| word == said) {
            return None;
        }
        let begin = table.new.join(", ");
        let detail =
            format!("{} takes a new record of this kind ({}) only as: {begin}.", self.dialect_title, self.title);
        let remedy = format!("send it as {begin} first, and go on from there when it has arrived");
        Some(finding(&format!("/{}", table.field), "LIA-MAP-015", detail, remedy))
    }

    /// Whether the step of the status is one that the system knows.
    fn step(&self, before: &Value, after: &Value) -> Option<Finding> {
        // The object's own table was asked when the change was made here.
        let table = self.transitions.as_ref().filter(|_| self.narrowed)?;
        let word = |value: &Value| value.get(&table.field).and_then(Value::as_str).map(str::to_owned);
        let (from, to) = (word(before)?, word(after)?);
        if table.allows(&from, &to) {
            return None;
        }
        let next = table.from.get(&from).filter(|next| !next.is_empty());
        let remedy = match next {
            Some(next) => format!("from here it goes to: {}", next.join(", ")),
            None => format!("it is over there; change it in {} itself", self.dialect_title),
        };
        let detail = format!("{} does not take this step from what it holds now.", self.dialect_title);
        Some(finding(&format!("/{}", table.field), "LIA-MAP-015", detail, remedy))
    }

    /// Values that this dialect does not take. What the resource says already is no matter.
    #[must_use]
    pub fn refused(&self, new: &Value, old: Option<&Value>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for limit in &self.limits {
            let whole = limit.test.is_of_whole();
            let (mut there, mut caught) = (Vec::new(), Vec::new());
            if let Some(old) = old {
                found(old, &limit.path, "", whole, &mut |_, value| there.push(value));
            }
            let mut any = false;
            found(new, &limit.path, "", whole, &mut |pointer, value| {
                any = any || !super::run::is_absent(value);
                if limit.test.catches(value) && !there.iter().any(|own| canonically_equal(own, value)) {
                    caught.push(pointer);
                }
            });
            if matches!(limit.test, Refuse::Missing) && old.is_none() && !any {
                caught.push(format!("/{}", limit.path.join("/")));
            }
            let told = |pointer: String| {
                let detail = format!("{} does not take this: {}", self.dialect_title, limit.why);
                finding(&pointer, "LIA-MAP-002", detail, limit.test.remedy())
            };
            findings.extend(caught.into_iter().map(told));
        }
        findings
    }
}

fn finding(pointer: &str, code: &str, detail: String, remedy: String) -> Finding {
    Finding { pointer: pointer.to_owned(), code: code.to_owned(), detail, remedy }
}
