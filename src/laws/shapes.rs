//! A JSON Schema compiled for making values by chance: read once, then used for thousands of records. What a schema says
//! beyond this (patterns across fields) is left to the validator, which sorts out what does not fit.

use std::collections::HashMap;

use fastrand::Rng;
use serde_json::{Map, Number, Value};

use super::words::{self, Words};

/// All shapes of one schema; `$ref` is an index, so that shapes may hold themselves.
#[derive(Debug)]
pub(super) struct Shapes {
    all: Vec<Shape>,
    fields: Vec<(String, usize)>,
}

#[derive(Debug)]
enum Shape {
    Fixed(Value),
    OneOf(Vec<Value>),
    Time(String),
    Base64,
    Words(Words),
    Text,
    Flag,
    /// From, to.
    Whole(i64, i64),
    Decimal,
    /// At least, at most, of what.
    List(usize, usize, Option<usize>),
    Forms(Vec<usize>),
    Record(Record),
}

/// Fields by name; the flags are by position.
#[derive(Debug, Default)]
struct Record {
    fields: Vec<(String, usize)>,
    required: Vec<bool>,
    /// Of exclusive forms one is taken: what it requires, what it bars.
    forms: Vec<(Vec<usize>, Vec<usize>)>,
    /// Where the first stands the second must not.
    excludes: Vec<(usize, usize)>,
    most: Option<usize>,
}

const TEXTS: &[&str] =
    &["Ann", "Müller-Łukasz", "عائشة", "12 High Street", "a < b & c > d", "“quoted”", "née O'Neill", "x", "Two words"];

impl Shapes {
    pub(super) fn of(schema: &Value) -> Self {
        let mut compiler = Compiler { root: schema, all: Vec::new(), known: HashMap::new() };
        let top = compiler.shape(schema);
        let fields = match &compiler.all[top] {
            Shape::Record(record) => record.fields.clone(),
            _ => Vec::new(),
        };
        // The whole object is the first shape that `make` is asked for.
        let mut all = compiler.all;
        all.push(Shape::Forms(vec![top]));
        Self { all, fields }
    }

    /// A whole object.
    pub(super) fn make(&self, rng: &mut Rng) -> Value {
        self.value(self.all.len() - 1, rng, 0)
    }

    /// One of the object's fields with a value; none if it has no fields.
    pub(super) fn pick(&self, rng: &mut Rng) -> Option<(&str, usize)> {
        let (name, shape) = self.fields.get(rng.usize(..self.fields.len().max(1)))?;
        Some((name, *shape))
    }

    /// A value of the field that [`Self::pick`] named.
    pub(super) fn field(&self, shape: usize, rng: &mut Rng) -> Value {
        self.value(shape, rng, 1)
    }

    fn value(&self, shape: usize, rng: &mut Rng, depth: usize) -> Value {
        match &self.all[shape] {
            Shape::Fixed(value) => value.clone(),
            Shape::OneOf(values) => values[rng.usize(..values.len())].clone(),
            Shape::Time(format) => Value::String(words::time(format, rng)),
            Shape::Base64 => Value::String(["aGVsbG8=", "JVBERi0xLjQ=", "AA=="][rng.usize(..3)].to_owned()),
            Shape::Words(words) => Value::String(words.make(rng)),
            Shape::Text => Value::String(TEXTS[rng.usize(..TEXTS.len())].to_owned()),
            Shape::Flag => Value::Bool(rng.bool()),
            Shape::Whole(least, most) => Value::Number(rng.i64(*least..=*most).into()),
            Shape::Decimal => number(rng),
            Shape::List(_, _, None) => Value::Array(Vec::new()),
            Shape::List(least, most, Some(item)) => {
                (0..rng.usize(*least..=*most)).map(|_| self.value(*item, rng, depth + 1)).collect()
            }
            Shape::Forms(forms) => self.value(forms[rng.usize(..forms.len())], rng, depth),
            Shape::Record(record) => self.record(record, rng, depth),
        }
    }

    fn record(&self, record: &Record, rng: &mut Rng, depth: usize) -> Value {
        let share = if depth > 2 { 60 } else { 130 };
        let mut wanted = record.required.clone();
        for flag in &mut wanted {
            *flag = *flag || rng.u8(..) < share;
        }
        if !record.forms.is_empty() {
            let (needed, barred) = &record.forms[rng.usize(..record.forms.len())];
            barred.iter().filter(|at| !record.required[**at]).for_each(|at| wanted[*at] = false);
            needed.iter().for_each(|at| wanted[*at] = true);
        }
        for (holder, barred) in &record.excludes {
            if wanted[*holder] && wanted[*barred] {
                let loser = if record.required[*barred] { holder } else { barred };
                wanted[*loser] = false;
            }
        }
        if let Some(most) = record.most {
            while wanted.iter().filter(|flag| **flag).count() > most {
                // One by chance goes; which, must not depend on the order of fields.
                let at = rng.usize(..wanted.len());
                wanted[at] = record.required[at];
                if record.required.iter().filter(|flag| **flag).count() >= most {
                    wanted.clone_from(&record.required);
                    break;
                }
            }
        }
        let members = record.fields.iter().zip(wanted).filter(|(_, wanted)| *wanted);
        let members: Map<String, Value> =
            members.map(|((name, shape), _)| (name.clone(), self.value(*shape, rng, depth + 1))).collect();
        Value::Object(members)
    }
}

/// Decimals whose text matters: 1.10 is not 1.1.
fn number(rng: &mut Rng) -> Value {
    let text = match rng.u8(..4) {
        0 => format!("{}", rng.u32(..1000)),
        1 => format!("{}.{}0", rng.u32(..100), rng.u32(..10)),
        2 => format!("-{}.{:03}", rng.u32(..50), rng.u32(..1000)),
        _ => "0.000001".to_owned(),
    };
    text.parse::<Number>().map_or(Value::Null, Value::Number)
}

struct Compiler<'s> {
    root: &'s Value,
    all: Vec<Shape>,
    known: HashMap<&'s str, usize>,
}

impl<'s> Compiler<'s> {
    fn shape(&mut self, schema: &'s Value) -> usize {
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            if let Some(known) = self.known.get(target) {
                return *known;
            }
            // Its place is taken before it is made, since it may hold itself.
            let at = self.add(Shape::Fixed(Value::Null));
            self.known.insert(target, at);
            if let Some(found) = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)) {
                let made = self.shape(found);
                self.all[at] = Shape::Forms(vec![made]);
            }
            return at;
        }
        let made = self.made(schema);
        self.add(made)
    }

    fn add(&mut self, shape: Shape) -> usize {
        self.all.push(shape);
        self.all.len() - 1
    }

    fn made(&mut self, schema: &'s Value) -> Shape {
        if let Some(fixed) = schema.get("const") {
            return Shape::Fixed(fixed.clone());
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array).filter(|words| !words.is_empty()) {
            return Shape::OneOf(words.clone());
        }
        let count = |key: &str| schema.get(key).and_then(Value::as_u64).map(|count| count as usize);
        let bound = |key: &str| schema.get(key).and_then(Value::as_i64);
        match schema.get("type").and_then(Value::as_str) {
            Some("string") => text(schema),
            Some("boolean") => Shape::Flag,
            Some("integer") => {
                let least = bound("minimum").unwrap_or(0);
                Shape::Whole(least, bound("maximum").unwrap_or(least + 500).min(least + 500).max(least))
            }
            Some("number") => Shape::Decimal,
            Some("array") => {
                let least = count("minItems").unwrap_or(0);
                let most = count("maxItems").unwrap_or(least + 3).max(least).min(least + 3);
                let item = schema.get("items").map(|items| self.shape(items));
                Shape::List(least, most, item)
            }
            _ => match forms_of(schema) {
                Some(forms) if schema.get("properties").is_none() => {
                    Shape::Forms(forms.iter().map(|form| self.shape(form)).collect())
                }
                _ => self.record(schema),
            },
        }
    }

    fn record(&mut self, schema: &'s Value) -> Shape {
        let mut fields = Vec::new();
        for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if field != &Value::Bool(false) {
                fields.push((name.clone(), self.shape(field)));
            }
        }
        let position = |name: &str| fields.iter().position(|(own, _)| own == name);
        let named = |schema: &Value| -> Vec<usize> {
            let list = schema.get("required").and_then(Value::as_array).into_iter().flatten();
            list.filter_map(|name| position(name.as_str()?)).collect()
        };
        let barred = |schema: &Value| -> Vec<usize> {
            let all = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
            all.filter(|(_, field)| **field == Value::Bool(false)).filter_map(|(name, _)| position(name)).collect()
        };
        let mut required = vec![false; fields.len()];
        named(schema).into_iter().for_each(|at| required[at] = true);
        let forms = forms_of(schema).into_iter().flatten().map(|form| (named(form), barred(form))).collect();
        let mut excludes = Vec::new();
        for (name, then) in schema.get("dependentSchemas").and_then(Value::as_object).into_iter().flatten() {
            if let Some(holder) = position(name) {
                excludes.extend(barred(then).into_iter().map(|barred| (holder, barred)));
            }
        }
        let most = schema.get("maxProperties").and_then(Value::as_u64).map(|most| most as usize);
        Shape::Record(Record { fields, required, forms, excludes, most })
    }
}

fn forms_of(schema: &Value) -> Option<&Vec<Value>> {
    let forms = ["oneOf", "anyOf"].iter().find_map(|key| schema.get(*key)?.as_array());
    forms.filter(|forms| !forms.is_empty())
}

fn text(schema: &Value) -> Shape {
    if let Some(format) = schema.get("format").and_then(Value::as_str) {
        return Shape::Time(format.to_owned());
    }
    if schema.get("contentEncoding").is_some() {
        return Shape::Base64;
    }
    match schema.get("pattern").and_then(Value::as_str) {
        Some(r"\S") | None => Shape::Text,
        Some(pattern) => Words::of(pattern).map_or(Shape::Text, Shape::Words),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_keep_to_what_the_schema_says_of_fields_together() {
        let schema = json!({
            "type": "object", "required": ["a"],
            "properties": {
                "a": { "type": "boolean" }, "b": { "type": "integer", "minimum": 3, "maximum": 4 },
                "c": { "enum": ["x", "y"] }, "one": { "$ref": "#/$defs/one" }
            },
            "dependentSchemas": { "b": { "properties": { "c": false } } },
            "$defs": { "one": {
                "type": "object", "maxProperties": 1,
                "properties": { "p": { "type": "string" }, "q": { "type": "array", "items": { "$ref": "#/$defs/one" } } }
            } }
        });
        let validator = jsonschema::validator_for(&schema).unwrap();
        let (shapes, mut rng) = (Shapes::of(&schema), Rng::with_seed(3));
        let made: Vec<Value> = (0..500).map(|_| shapes.make(&mut rng)).collect();
        assert!(
            made.iter().all(|value| validator.is_valid(value)),
            "{:?}",
            made.iter().find(|v| !validator.is_valid(v))
        );
        for wanted in [json!("x"), json!("y")] {
            assert!(made.iter().any(|value| value["c"] == wanted));
        }
        assert!(
            made.iter().any(|value| value["b"] == json!(4)) && made.iter().any(|value| value["one"]["p"].is_string())
        );
        assert!(made.iter().any(|value| value["one"]["q"][0]["p"].is_string()), "shapes within themselves");
    }
}
