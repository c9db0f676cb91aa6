//! YAML as a tree in which every value knows its file, line and column, so that a mistake can be shown where it was
//! made. Reading only; what the keys mean is decided elsewhere. <https://yaml.org/spec/1.2.2/>

use std::sync::Arc;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::{Number, Value};

pub(crate) use crate::domain::nearest;
use crate::mapping::Mistake;

/// Where something stands in a mapping file. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) file: Arc<str>,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Place {
    pub(crate) fn start_of(file: &Arc<str>) -> Self {
        Self { file: Arc::clone(file), line: 1, column: 1 }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Collects mistakes, so that an author sees all of them at once.
#[derive(Debug, Default)]
pub(crate) struct Mistakes(pub(crate) Vec<Mistake>);

impl Mistakes {
    pub(crate) fn add(&mut self, at: &Place, what: impl Into<String>, hint: impl Into<String>) {
        let (file, line, column) = (at.file.to_string(), at.line, at.column);
        let mistake = Mistake { file, line, column, what: what.into(), hint: hint.into() };
        if !self.0.contains(&mistake) {
            self.0.push(mistake);
        }
    }
}

/// One value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) data: Data,
}

/// A key with its place, and its value.
pub(crate) type Member = (Key, Node);

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) at: Place,
    pub(crate) text: String,
}

#[derive(Clone, Debug)]
pub(crate) enum Data {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Member>),
}

impl Node {
    /// Reads one document.
    pub(crate) fn read(file: &Arc<str>, text: &str, mistakes: &mut Mistakes) -> Option<Self> {
        match MarkedYaml::load_from_str(text) {
            Ok(documents) if documents.len() == 1 => {
                let characters: Vec<char> = text.chars().collect();
                Some(node(file, &characters, &documents[0], mistakes))
            }
            Ok(_) => {
                mistakes.add(&Place::start_of(file), "the file must hold one YAML document", "");
                None
            }
            Err(error) => {
                let marker = error.marker();
                let at = Place { file: Arc::clone(file), line: marker.line(), column: marker.col() + 1 };
                mistakes.add(
                    &at,
                    format!("this is not YAML: {}", error.info()),
                    "check indentation, quotes, and that no key stands twice",
                );
                None
            }
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.members().iter().find_map(|(name, value)| (name.text == key).then_some(value))
    }

    pub(crate) fn members(&self) -> &[Member] {
        match &self.data {
            Data::Map(members) => members,
            _ => &[],
        }
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self.data, Data::Map(_))
    }

    pub(crate) fn list(&self) -> Option<&[Self]> {
        match &self.data {
            Data::List(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// One text or a list of texts.
    pub(crate) fn texts(&self) -> Option<Vec<String>> {
        match &self.data {
            Data::List(items) => items.iter().map(|item| item.text().map(str::to_owned)).collect(),
            _ => self.text().map(|text| vec![text.to_owned()]),
        }
    }

    /// As JSON.
    pub(crate) fn json(&self) -> Value {
        match &self.data {
            Data::Scalar(value) => value.clone(),
            Data::List(items) => Value::Array(items.iter().map(Self::json).collect()),
            Data::Map(members) => {
                Value::Object(members.iter().map(|(key, value)| (key.text.clone(), value.json())).collect())
            }
        }
    }

    /// The text at `key`, which may be absent; anything but text is a mistake.
    pub(crate) fn text_at(&self, key: &str, mistakes: &mut Mistakes) -> Option<&str> {
        let value = self.get(key)?;
        if value.text().is_none() {
            mistakes.add(
                &value.at,
                format!("`{key}` must be text"),
                "put it in quotes if it looks like something else",
            );
        }
        value.text()
    }

    /// Refuses keys that are not among `known`.
    pub(crate) fn only(&self, known: &[&str], mistakes: &mut Mistakes) {
        if !self.is_map() {
            mistakes.add(&self.at, "here a table (`key: value`) is expected", format!("keys: {}", known.join(", ")));
        }
        for (key, _) in self.members() {
            if !known.contains(&key.text.as_str()) {
                let hint = match nearest(&key.text, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known keys: {}", known.join(", ")),
                };
                mistakes.add(&key.at, format!("the key `{}` is not known here", key.text), hint);
            }
        }
    }
}

fn node(file: &Arc<str>, text: &[char], marked: &MarkedYaml<'_>, mistakes: &mut Mistakes) -> Node {
    let place = |marked: &MarkedYaml<'_>| Place {
        file: Arc::clone(file),
        line: marked.span.start.line(),
        column: marked.span.start.col() + 1,
    };
    let at = place(marked);
    let data = match &marked.data {
        YamlData::Value(scalar) => Data::Scalar(scalar_json(scalar, text, marked)),
        YamlData::Sequence(items) => Data::List(items.iter().map(|item| node(file, text, item, mistakes)).collect()),
        YamlData::Mapping(members) => Data::Map(
            members
                .iter()
                .map(|(key, value)| {
                    let text_of_key = match &key.data {
                        YamlData::Value(Scalar::String(name)) => name.to_string(),
                        YamlData::Value(scalar) => match scalar_json(scalar, text, key) {
                            Value::String(name) => name,
                            other => other.to_string(),
                        },
                        _ => {
                            mistakes.add(&place(key), "a key must be a plain word", "");
                            String::new()
                        }
                    };
                    (Key { at: place(key), text: text_of_key }, node(file, text, value, mistakes))
                })
                .collect(),
        ),
        _ => {
            mistakes.add(&at, "anchors, aliases and tags are not used in mappings", "write the value out");
            Data::Scalar(Value::Null)
        }
    };
    Node { at, data }
}

fn scalar_json(scalar: &Scalar<'_>, text: &[char], marked: &MarkedYaml<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(flag) => Value::Bool(*flag),
        Scalar::Integer(number) => Value::Number((*number).into()),
        Scalar::String(words) => Value::String(words.to_string()),
        // The text as written, so that 1.10 stays 1.10.
        Scalar::FloatingPoint(_) => {
            let written: String =
                text.get(marked.span.start.index()..marked.span.end.index()).unwrap_or(&[]).iter().collect();
            written.trim().parse::<Number>().map_or_else(|_| Value::String(written.trim().to_owned()), Value::Number)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_number_text() {
        let mut mistakes = Mistakes::default();
        let file: Arc<str> = "x.yaml".into();
        let node = Node::read(&file, "a: 1.10\nrules:\n  - { b: yes it is, c: [1, true] }\n", &mut mistakes).unwrap();
        assert_eq!(node.get("a").unwrap().json().to_string(), "1.10");
        let rule = &node.get("rules").unwrap().list().unwrap()[0];
        assert_eq!((rule.at.line, rule.at.column), (3, 5));
        assert_eq!(rule.get("c").unwrap().json().to_string(), "[1,true]");
        assert!(mistakes.0.is_empty());
        assert!(Node::read(&file, "a: 1\na: 2\n", &mut mistakes).is_none());
        assert_eq!((mistakes.0[0].line, mistakes.0[0].column), (2, 1));
    }
}
