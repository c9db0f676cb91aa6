//! Native twins of common invariants: the same answers as the expressions, without the engine. `Simple` covers the many
//! that only ask which children are there; `period` those that compare two dates written alike. Where a twin cannot
//! tell it says so, and the engine decides. A test holds twins against the engine.

use serde_json::Value;

use crate::fhir::{inner, member};

/// An invariant decided by hand.
#[derive(Debug)]
pub enum Native {
    /// Which children are there.
    Simple(Simple),
    /// `start <= end`.
    Period,
}

impl Native {
    /// The twin of an expression, if there is one. `plain` says whether a name is an element of the focus that is no
    /// choice, so that its JSON property has the same name.
    pub fn of(expression: &str, plain: &dyn Fn(&str) -> bool) -> Option<Self> {
        if expression == "start.hasValue().not() or end.hasValue().not() or (start <= end)" {
            return Some(Self::Period);
        }
        Simple::parse(expression, plain).map(Self::Simple)
    }

    /// Whether it holds; none where the engine must decide.
    pub fn holds(&self, value: &Value) -> Option<bool> {
        match self {
            Self::Simple(simple) => simple.holds(value),
            Self::Period => period(value),
        }
    }
}

/// Terms `name.exists()` and `name.empty()`, all joined by the same operator.
#[derive(Debug)]
pub struct Simple {
    terms: Vec<Term>,
    join: Join,
}

#[derive(Debug)]
struct Term {
    name: Box<str>,
    underscore: Box<str>,
    exists: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Join {
    Or,
    And,
    Implies,
    Equal,
}

impl Simple {
    fn parse(expression: &str, plain: &dyn Fn(&str) -> bool) -> Option<Self> {
        let mut words = expression.split_whitespace();
        let mut terms = vec![Term::parse(words.next()?, plain)?];
        let mut join = None;
        while let Some(word) = words.next() {
            let found = match word {
                "or" => Join::Or,
                "and" => Join::And,
                "implies" => Join::Implies,
                "=" => Join::Equal,
                _ => return None,
            };
            if join.is_some_and(|join| join != found) {
                return None;
            }
            join = Some(found);
            terms.push(Term::parse(words.next()?, plain)?);
        }
        let join = join.unwrap_or(Join::And);
        let two_only = matches!(join, Join::Implies | Join::Equal);
        (!two_only || terms.len() == 2).then_some(Self { terms, join })
    }

    fn holds(&self, value: &Value) -> Option<bool> {
        let members = value.as_object()?;
        let mut terms = self.terms.iter().map(|term| {
            let there = member(members, &term.name).is_some_and(|child| !is_nothing(child))
                || member(members, &term.underscore).is_some();
            there == term.exists
        });
        Some(match self.join {
            Join::Or => terms.any(|term| term),
            Join::And => terms.all(|term| term),
            Join::Implies => !terms.next()? || terms.next()?,
            Join::Equal => terms.next()? == terms.next()?,
        })
    }
}

fn is_nothing(child: &Value) -> bool {
    match child {
        Value::Null => true,
        Value::Array(items) => items.iter().all(Value::is_null),
        _ => false,
    }
}

impl Term {
    fn parse(word: &str, plain: &dyn Fn(&str) -> bool) -> Option<Self> {
        let (name, exists) = match word.strip_suffix(".exists()") {
            Some(name) => (name, true),
            None => (word.strip_suffix(".empty()")?, false),
        };
        plain(name).then(|| Self { name: name.into(), underscore: format!("_{name}").into(), exists })
    }
}

/// Two dates of the same form compare as their text does.
fn period(value: &Value) -> Option<bool> {
    let (start, end) = (inner(value, "start"), inner(value, "end"));
    let (Some(start), Some(end)) = (start, end) else { return Some(true) };
    let (start, end) = (start.as_str()?, end.as_str()?);
    let date = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let zulu = |text: &str| text.len() == 20 && text.ends_with('Z');
    let alike = start.len() == end.len()
        && (matches!(start.len(), 4 | 7 | 10) && date(start) && date(end) || zulu(start) && zulu(end));
    let valid = |text| super::Primitive::DateTime.check_text(text).is_ok();
    (alike && valid(start) && valid(end)).then(|| start <= end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        definitions::Definitions,
        fhir::read_str,
        fhirpath::{Context, Expression, Model, Node},
        profile::Validator,
    };

    #[test]
    fn twins_answer_as_the_engine_does() {
        let validator = Validator::new(Definitions::core());
        let cases = [
            (
                "Quantity",
                "code.empty() or system.exists()",
                vec!["{}", r#"{"code":"a"}"#, r#"{"code":"a","system":"b"}"#, r#"{"_code":{"id":"x"}}"#],
            ),
            (
                "Appointment",
                "start.exists() = end.exists()",
                vec![r#"{"start":"2020"}"#, r#"{"start":"2020","end":"2020"}"#, r#"{"_end":{"id":"x"}}"#],
            ),
            (
                "Patient",
                "name.exists() or telecom.exists()",
                vec![r#"{"active":true}"#, r#"{"name":[{"text":"x"}]}"#, r#"{"telecom":[null]}"#],
            ),
            (
                "Timing",
                "code.exists() implies repeat.exists()",
                vec!["{}", r#"{"code":{"text":"x"}}"#, r#"{"code":{"text":"x"},"repeat":{"count":1}}"#],
            ),
            (
                "Period",
                "start.hasValue().not() or end.hasValue().not() or (start <= end)",
                vec![
                    "{}",
                    r#"{"start":"2020"}"#,
                    r#"{"start":"2020","end":"2019"}"#,
                    r#"{"start":"2020-01","end":"2020-02"}"#,
                    r#"{"start":"2020-01-01","end":"2020-01-01"}"#,
                    r#"{"start":"2020-01-01","end":"2020"}"#,
                    r#"{"start":"2020-01-01T10:00:00Z","end":"2020-01-01T09:00:00Z"}"#,
                    r#"{"start":"2020-01-01T10:00:00+02:00","end":"2020-01-01T09:00:00Z"}"#,
                ],
            ),
        ];
        let mut decided = 0;
        for (kind, text, values) in cases {
            let native = Native::of(text, &|_| true).expect("a twin");
            let expression = Expression::parse(text).expect("parses");
            for json in values {
                let value = read_str(json).expect("JSON");
                let node = Node::new(Some(&value), None, validator.types.named(kind).expect("a type"));
                let engine = expression.holds(node, &Context::new(&validator.types, Some(node)));
                if let Some(ours) = native.holds(&value) {
                    decided += 1;
                    assert_eq!(Ok(ours), engine.map_err(|error| error.to_string()), "{text} on {json}");
                }
            }
        }
        assert!(decided > 15);
        assert!(Native::of("a.exists() or b.exists() and c.exists()", &|_| true).is_none());
        assert!(Native::of("value.exists()", &|_| false).is_none());
    }
}
