//! Words and codes: a code list (compiled from a ConceptMap or a table in the rule) read both ways, on `code`, `Coding`
//! and `CodeableConcept`. <https://hl7.org/fhir/R4/conceptmap.html>

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use super::{Element, Unsayable};
use crate::{
    fhir::{Object, inner},
    mapping::plan::Name,
};

/// One row: our word and one code that means it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) word: Value,
    pub(crate) code: Value,
    pub(crate) system: Option<String>,
    pub(crate) display: Option<String>,
    /// `equal` or `equivalent`.
    pub(crate) preferred: bool,
    /// FHIR's equivalence.
    pub(crate) equivalence: String,
}

impl Row {
    fn meant(&self) -> Meant<'_> {
        Meant { code: &self.code, system: self.system.as_deref(), display: self.display.as_deref() }
    }
}

/// The code that a word means.
#[derive(Clone, Copy)]
struct Meant<'a> {
    code: &'a Value,
    system: Option<&'a str>,
    display: Option<&'a str>,
}

/// A code list ready for use.
pub(crate) struct Codes {
    /// The ConceptMap's id, or where the table stands.
    pub(crate) name: Name,
    pub(crate) rows: Vec<Row>,
    to_code: HashMap<String, usize>,
    to_word: HashMap<String, Vec<usize>>,
}

/// The rows in order, from which all else is made: part of a plan's digest.
impl std::fmt::Debug for Codes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Codes").field("name", &self.name).field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// A scalar's text, by which it is looked up.
fn key(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Codes {
    pub(crate) fn new(name: Name, rows: Vec<Row>) -> Self {
        let mut to_code: HashMap<String, usize> = HashMap::new();
        let mut to_word: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, row) in rows.iter().enumerate() {
            let written = to_code.entry(key(&row.word)).or_insert(at);
            if row.preferred && !rows[*written].preferred {
                *written = at;
            }
            let read = to_word.entry(key(&row.code)).or_default();
            // The preferred word of a code comes first.
            let before = read
                .iter()
                .position(|other| row.preferred && !rows[*other].preferred && row.system == rows[*other].system);
            read.insert(before.unwrap_or(read.len()), at);
        }
        Self { name, rows, to_code, to_word }
    }

    /// The row by which a word is written.
    pub(crate) fn row_of_word(&self, word: &Value) -> Option<usize> {
        match word {
            Value::String(text) => self.to_code.get(text.as_str()),
            other => self.to_code.get(&key(other)),
        }
        .copied()
    }

    /// The row by which a code is read; a missing system fits any.
    pub(crate) fn row_of_code(&self, system: Option<&str>, code: &Value) -> Option<usize> {
        let rows = match code {
            Value::String(text) => self.to_word.get(text.as_str()),
            other => self.to_word.get(&key(other)),
        }?;
        let fits = |row: &&usize| match (system, &self.rows[**row].system) {
            (Some(said), Some(own)) => said == own,
            _ => true,
        };
        rows.iter().find(fits).copied()
    }

    /// The words, in order.
    pub(crate) fn words(&self) -> Vec<&Value> {
        let mut words: Vec<&Value> = Vec::new();
        for row in &self.rows {
            if !words.contains(&&row.word) {
                words.push(&row.word);
            }
        }
        words
    }
}

/// What kind of element takes the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A primitive.
    Code,
    /// `Coding`
    Coding,
    /// `CodeableConcept`
    Concept,
}

impl Form {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Coding => "coding",
            Self::Concept => "concept",
        }
    }
}

/// What becomes of a code that the list does not know.
#[derive(Clone, Debug, Default)]
pub(crate) enum Unmapped {
    /// The field stays empty, the code stays in the resource.
    #[default]
    Keep,
    /// The field shows the code (or its words) as it is.
    Carry,
    /// The field shows this word.
    Word(Value),
}

/// Words ⇄ codes on one kind of element. Without a list: the code itself, of one system.
#[derive(Debug)]
pub(crate) struct Coded {
    pub(crate) form: Form,
    pub(crate) codes: Option<Arc<Codes>>,
    pub(crate) system: Option<String>,
    pub(crate) unmapped: Unmapped,
}

impl Coded {
    fn word(&self, system: Option<&str>, code: &Value) -> Option<Value> {
        match &self.codes {
            Some(codes) => codes.row_of_code(system, code).map(|row| codes.rows[row].word.clone()),
            None => (system == self.system.as_deref()).then(|| code.clone()),
        }
    }

    fn word_of_coding(&self, coding: &Value) -> Option<Value> {
        self.word(inner(coding, "system").and_then(Value::as_str), inner(coding, "code")?)
    }

    pub(super) fn get(&self, element: &Value) -> Option<Value> {
        let known = match self.form {
            Form::Code => self.word(None, element),
            Form::Coding => self.word_of_coding(element),
            Form::Concept => inner(element, "coding")
                .and_then(Value::as_array)?
                .iter()
                .find_map(|coding| self.word_of_coding(coding)),
        };
        known.or_else(|| match &self.unmapped {
            Unmapped::Keep => None,
            Unmapped::Word(word) => Some(word.clone()),
            Unmapped::Carry => self.carried(element),
        })
    }

    /// The members of the element that are read; none: it has none.
    pub(crate) fn members(&self) -> Option<&'static [&'static str]> {
        match (self.form, &self.unmapped) {
            (Form::Code, _) => None,
            (Form::Coding, Unmapped::Carry) => Some(&["system", "code", "display"]),
            (Form::Coding, _) => Some(&["system", "code"]),
            (Form::Concept, Unmapped::Carry) => Some(&["coding", "system", "code", "display", "text"]),
            (Form::Concept, _) => Some(&["coding", "system", "code"]),
        }
    }

    /// What an element says in its own words.
    fn carried(&self, element: &Value) -> Option<Value> {
        let of_coding = |coding: &Value| coding.get("display").or_else(|| coding.get("code")).cloned();
        match self.form {
            Form::Code => Some(element.clone()),
            Form::Coding => of_coding(element),
            Form::Concept => element.get("text").cloned().or_else(|| {
                element.get("coding").and_then(Value::as_array).and_then(|codings| codings.iter().find_map(of_coding))
            }),
        }
    }

    pub(super) fn put(&self, new: Option<&Value>, element: &mut Element) -> Result<(), Unsayable> {
        let Some(word) = new else {
            self.clear(element);
            return Ok(());
        };
        let coding = match &self.codes {
            None => Meant { code: word, system: self.system.as_deref(), display: None },
            Some(codes) => match (codes.row_of_word(word), &self.unmapped) {
                (Some(row), _) => codes.rows[row].meant(),
                (None, Unmapped::Carry) => return self.put_words(word, element),
                (None, _) => {
                    let words: Vec<String> = codes.words().into_iter().map(key).collect();
                    return Err(Unsayable::new(
                        format!("this is no word of the code list {}", codes.name),
                        format!("use one of: {}", words.join(", ")),
                    ));
                }
            },
        };
        match self.form {
            Form::Code => element.value = Some(coding.code.clone()),
            Form::Coding => {
                let mut members = members(element);
                write_coding(&mut members, coding);
                element.value = Some(Value::Object(members));
            }
            Form::Concept => {
                let mut members = members(element);
                let mut only = Object::with_capacity(3);
                write_coding(&mut only, coding);
                // The other codings and the text were about the old meaning.
                members.shift_remove("text");
                members.insert("coding".to_owned(), Value::Array(vec![Value::Object(only)]));
                element.value = Some(Value::Object(members));
            }
        }
        Ok(())
    }

    fn put_words(&self, word: &Value, element: &mut Element) -> Result<(), Unsayable> {
        let mut rest = members(element);
        match self.form {
            Form::Code => {
                element.value = Some(word.clone());
                return Ok(());
            }
            Form::Coding => {
                for name in ["system", "version", "code"] {
                    rest.shift_remove(name);
                }
                rest.insert("display".to_owned(), word.clone());
            }
            Form::Concept => {
                rest.shift_remove("coding");
                rest.insert("text".to_owned(), word.clone());
            }
        }
        element.value = Some(Value::Object(rest));
        Ok(())
    }

    fn clear(&self, element: &mut Element) {
        if self.form == Form::Code {
            element.value = None;
            return;
        }
        let mut members = members(element);
        for name in ["coding", "text", "system", "version", "code", "display", "userSelected"] {
            members.shift_remove(name);
        }
        element.value = (!members.is_empty()).then_some(Value::Object(members));
    }
}

fn members(element: &mut Element) -> Object {
    match element.value.take() {
        Some(Value::Object(members)) => members,
        _ => Object::new(),
    }
}

fn write_coding(members: &mut Object, coding: Meant<'_>) {
    if !members.is_empty() {
        for name in ["system", "version", "display", "userSelected"] {
            members.shift_remove(name);
        }
    }
    if let Some(system) = coding.system {
        members.insert("system".to_owned(), system.into());
    }
    members.insert("code".to_owned(), coding.code.clone());
    if let Some(display) = coding.display {
        members.insert("display".to_owned(), display.into());
    }
}
