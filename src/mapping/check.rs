//! Checking an internal object against its JSON Schema, told in plain words. The validator's own messages quote the
//! object, so they are never used: only the place and the kind of error are. <https://json-schema.org/draft/2020-12>

use jsonschema::{ValidationError, Validator, error::ValidationErrorKind as Kind};

use super::load::yaml::nearest;
use crate::{
    domain::{Time, TimeError},
    error::{Explained, Finding},
    fhir::Value,
};

/// A compiled schema.
#[derive(Debug)]
pub(crate) struct Schema {
    json: Value,
    validator: Validator,
}

impl Schema {
    /// # Errors
    /// Where in the schema it cannot be used (a JSON pointer), and why.
    pub(crate) fn new(json: Value) -> Result<Self, (String, String)> {
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .with_pattern_options(jsonschema::PatternOptions::regex())
            .should_validate_formats(true)
            .with_format("moment", |text: &str| format_error("moment", text).is_none())
            .with_format("moment-or-date", |text: &str| format_error("moment-or-date", text).is_none())
            .with_format("partial-date", |text: &str| format_error("partial-date", text).is_none())
            .build(&json)
            .map_err(|error| (error.instance_path().to_string(), error.masked().to_string()))?;
        Ok(Self { json, validator })
    }

    pub(crate) fn json(&self) -> &Value {
        &self.json
    }

    pub(crate) fn is_valid(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }

    /// Everything that is wrong, by place.
    pub(crate) fn findings(&self, value: &Value) -> Vec<Finding> {
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        let mut findings: Vec<Finding> =
            self.validator.iter_errors(value).flat_map(|error| self.tell(&error)).collect();
        // One finding a place is enough; a time's own words say more than its pattern.
        let timed: Vec<String> =
            findings.iter().filter(|f| f.code.starts_with("LIA-TIME")).map(|f| f.pointer.clone()).collect();
        findings.retain(|f| f.code.starts_with("LIA-TIME") || !timed.contains(&f.pointer));
        findings.dedup_by(|a, b| a.pointer == b.pointer && a.code == b.code);
        findings
    }

    fn tell(&self, error: &ValidationError<'_>) -> Vec<Finding> {
        let pointer = error.instance_path().to_string();
        let finding = |pointer: String, code: &str, detail: String, remedy: String| {
            vec![Finding { pointer, code: code.to_owned(), detail, remedy }]
        };
        let here = |code: &str, detail: &str, remedy: String| finding(pointer.clone(), code, detail.to_owned(), remedy);
        match error.kind() {
            Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                let known = self.fields_at(&pointer);
                unexpected
                    .iter()
                    .flat_map(|name| {
                        let remedy = match nearest(name, known.iter().map(String::as_str)) {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => format!("remove it; known fields: {}", known.join(", ")),
                        };
                        let name = name.replace('~', "~0").replace('/', "~1");
                        finding(
                            format!("{pointer}/{name}"),
                            "LIA-MAP-004",
                            "this field is not known".to_owned(),
                            remedy,
                        )
                    })
                    .collect()
            }
            Kind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                let remedy = self.description(&format!("{pointer}/{name}")).unwrap_or_else(|| "add it".to_owned());
                finding(format!("{pointer}/{name}"), "LIA-MAP-005", format!("`{name}` is missing"), remedy)
            }
            Kind::Enum { options } => {
                let words: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let said = error.instance().as_str().and_then(|said| nearest(said, words.iter().copied()));
                let all = words.join(", ");
                let remedy = match said {
                    Some(near) => format!("did you mean `{near}`? Allowed: {all}"),
                    None => format!("use one of: {all}"),
                };
                here("LIA-MAP-006", "this is none of the allowed words", remedy)
            }
            Kind::Format { format } => match error.instance().as_str().and_then(|text| format_error(format, text)) {
                Some(error) => here(error.code(), &error.to_string(), error.remedy().to_owned()),
                None => here("LIA-MAP-003", &format!("this is not in the form `{format}`"), String::new()),
            },
            Kind::Type { .. } => {
                let (is, remedy) = (json_type(error.instance()), self.wanted(&pointer));
                here("LIA-MAP-003", &format!("this is {is}, which does not belong here"), remedy)
            }
            Kind::Not { .. } => {
                let remedy = self.description(&pointer).unwrap_or_else(|| "leave one of them out".to_owned());
                here("LIA-MAP-003", "fields stand here together that exclude each other", remedy)
            }
            Kind::OneOfNotValid { .. } | Kind::AnyOf { .. } | Kind::OneOfMultipleValid { .. } => {
                let remedy = self.description(&pointer).unwrap_or_else(|| "see the object's schema".to_owned());
                here("LIA-MAP-003", "this fits none, or more than one, of the allowed forms", remedy)
            }
            Kind::MinLength { .. } | Kind::MinProperties { .. } | Kind::MinItems { .. } => {
                here("LIA-MAP-003", "this is empty or too short", "leave the field out, or fill it in".to_owned())
            }
            Kind::FalseSchema => {
                here("LIA-MAP-003", "this field cannot stand beside the others here", "leave it out".to_owned())
            }
            other => {
                let remedy = self.description(&pointer).unwrap_or_else(|| "see the object's schema".to_owned());
                here(
                    "LIA-MAP-003",
                    &format!("this breaks the rule `{}` of the object's schema", other.keyword()),
                    remedy,
                )
            }
        }
    }

    /// The schema at an instance's pointer, as far as `properties` and `items` lead.
    fn at(&self, pointer: &str) -> Option<&Value> {
        fn inner<'s>(at: &'s Value, step: &str) -> Option<&'s Value> {
            at.get("properties").and_then(|all| all.get(step)).or_else(|| {
                step.parse::<usize>().ok()?;
                at.get("items")
            })
        }
        let steps = pointer.split('/').skip(1);
        let mut at = self.follow(&self.json)?;
        for step in steps {
            at = match inner(at, step) {
                Some(next) if next.get("description").is_some() && next.get("$ref").is_none() => next,
                next => self.follow(next?)?,
            };
        }
        Some(at)
    }

    fn follow<'s>(&'s self, mut at: &'s Value) -> Option<&'s Value> {
        for _ in 0..16 {
            match at.get("$ref").and_then(Value::as_str) {
                Some(reference) => at = self.json.pointer(reference.strip_prefix('#')?)?,
                None => break,
            }
        }
        Some(at)
    }

    fn fields_at(&self, pointer: &str) -> Vec<String> {
        let fields = self.at(pointer).and_then(|at| at.get("properties")).and_then(Value::as_object);
        fields.map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
    }

    fn description(&self, pointer: &str) -> Option<String> {
        self.at(pointer)?.get("description")?.as_str().map(str::to_owned)
    }

    fn wanted(&self, pointer: &str) -> String {
        let kind = self.at(pointer).and_then(|at| at.get("type")).and_then(Value::as_str);
        kind.map_or_else(|| "see the object's schema".to_owned(), |kind| format!("give {}", words_of_type(kind)))
    }
}

fn words_of_type(kind: &str) -> &str {
    match kind {
        "string" => "text in quotes",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "an object with fields",
        other => other,
    }
}

const fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Why a text is not in one of our formats.
fn format_error(format: &str, text: &str) -> Option<TimeError> {
    match (format, Time::parse(text)) {
        ("moment" | "moment-or-date" | "partial-date", Err(error)) => Some(error),
        ("moment", Ok(time)) if time.is_date() => Some(TimeError::NotATime),
        ("partial-date", Ok(time)) if !time.is_date() => Some(TimeError::NotATime),
        _ => None,
    }
}
