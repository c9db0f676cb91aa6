//! Checking an internal object against its JSON Schema, told in plain words. The validator's own messages quote the
//! object, so they are never used: only the place and the kind of error are. <https://json-schema.org/draft/2020-12>

use jsonschema::{ValidationError, Validator, error::ValidationErrorKind as Kind};

use super::{load::yaml::nearest, plan::Name};
use crate::{
    domain::{Time, TimeError},
    error::{Explained, Finding},
    fhir::{Counterparts, Value},
};

/// A finding, and what it speaks of.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) finding: Finding,
    /// JSON pointer of the object or value that is faulty.
    pub(crate) at: String,
    /// The fields of it that are; none: all of it.
    pub(crate) about: Vec<String>,
    /// The rule that is broken: a check's name, or the schema.
    pub(crate) rule: Name,
}

/// The faults of `after` that `before` lacks: compared by code and place, items of lists told by what they are. Who edits
/// what a fault speaks of is judged on it.
pub(crate) fn new_faults(before: (&[Fault], &Value), after: (Vec<Fault>, &Value)) -> Vec<Finding> {
    let mut places = Counterparts::new(before.1, after.1);
    let mut is_old = |fault: &Fault| {
        places.unchanged(&fault.at, &fault.about).is_some_and(|was| {
            let same = |known: &Fault| {
                let rule = known.finding.code == fault.finding.code && known.rule == fault.rule;
                rule && known.at == was && known.about == fault.about
            };
            before.0.iter().any(same)
        })
    };
    after.0.into_iter().filter(|fault| !is_old(fault)).map(|fault| fault.finding).collect()
}

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

    /// Members of an object that are refused for what they hold.
    pub(crate) fn refused(&self, value: &Value) -> Vec<String> {
        let first = |error: ValidationError<'_>| {
            let pointer = error.instance_path().to_string();
            let name = pointer.split('/').nth(1)?.replace("~1", "/").replace("~0", "~");
            (!name.is_empty()).then_some(name)
        };
        self.validator.iter_errors(value).filter_map(first).collect()
    }

    /// Everything that is wrong, by place.
    pub(crate) fn faults(&self, value: &Value) -> Vec<Fault> {
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        let mut faults: Vec<Fault> = Vec::new();
        for error in self.validator.iter_errors(value) {
            let about = self.about(&error);
            let fault = |finding: Finding| Fault {
                at: finding.pointer.clone(),
                about: about.clone(),
                rule: Name::from("schema"),
                finding,
            };
            faults.extend(self.tell(&error).into_iter().map(fault));
        }
        // One finding a place is enough; a time's own words say more than its pattern.
        let is_timed = |fault: &Fault| fault.finding.code.starts_with("LIA-TIME");
        let timed: Vec<String> =
            faults.iter().filter(|fault| is_timed(fault)).map(|fault| fault.finding.pointer.clone()).collect();
        faults.retain(|fault| is_timed(fault) || !timed.contains(&fault.finding.pointer));
        faults.dedup_by(|a, b| a.finding.pointer == b.finding.pointer && a.finding.code == b.finding.code);
        faults
    }

    /// The fields that an error is about, where it is about some of an object's fields and not about all of it.
    fn about(&self, error: &ValidationError<'_>) -> Vec<String> {
        match error.kind() {
            Kind::Not { .. } | Kind::OneOfNotValid { .. } | Kind::AnyOf { .. } | Kind::OneOfMultipleValid { .. } => {
                let mut names = Vec::new();
                if let Some(schema) = self.json.pointer(error.schema_path().as_str()) {
                    fields_named(schema, &mut names);
                }
                names
            }
            _ => Vec::new(),
        }
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

/// The fields that forms and exclusions speak of.
fn fields_named(schema: &Value, names: &mut Vec<String>) {
    let mut add = |name: &str| {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    };
    match schema {
        Value::Array(forms) => forms.iter().for_each(|form| fields_named(form, names)),
        Value::Object(keywords) => {
            let required = keywords.get("required").and_then(Value::as_array).into_iter().flatten();
            required.filter_map(Value::as_str).for_each(&mut add);
            let properties = keywords.get("properties").and_then(Value::as_object).into_iter().flatten();
            properties.for_each(|(name, _)| add(name));
            let nested = ["oneOf", "anyOf", "allOf", "not"].iter().filter_map(|keyword| keywords.get(*keyword));
            nested.for_each(|schema| fields_named(schema, names));
        }
        _ => {}
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{fhir::Value, mapping::Mappings};

    fn new(object: &str, before: &Value, after: &Value) -> Vec<String> {
        let mappings = Mappings::embedded().unwrap();
        let found = mappings.object(object).unwrap().new_faults(before, after);
        found.into_iter().map(|finding| format!("{} {}", finding.code, finding.pointer)).collect()
    }

    #[test]
    fn a_fault_that_was_there_locks_no_other_field() {
        let before = json!({ "id": "a", "names": [{ "family": "Poe", "use": "stage" }], "dead": true, "died_on": "2026-01-02",
            "addresses": [{ "city": "" }], "relatives": [{}], "links": [{ "record": { "object": "patient", "reference": "Patient/1" } }] });
        let mut after = before.clone();
        after["gender"] = "female".into();
        after["names"].as_array_mut().unwrap().insert(0, json!({ "family": "Roe" }));
        assert_eq!(new("patient", &before, &after), [""; 0]);

        // Whoever touches what is wrong is told, at its place now.
        after["names"][1]["use"] = "pen".into();
        after["addresses"][0]["city"] = " ".into();
        after["links"][0]["record"]["reference"] = "Patient/2".into();
        after["died_on"] = "2026-01-03".into();
        let told = new("patient", &before, &after);
        for wanted in ["LIA-MAP-006 /names/1/use", "LIA-MAP-003 /addresses/0/city", "/links/0/record", "/died_on"] {
            assert!(told.iter().any(|fault| fault.contains(wanted)), "{wanted} in {told:?}");
        }
    }

    #[test]
    fn what_is_taken_away_or_new_is_a_new_fault() {
        let before = json!({ "status": "booked", "participants": [{ "who": { "display": "x" } }] });
        let mut after = before.clone();
        after["comment"] = "x".into();
        assert_eq!(new("appointment", &before, &after), [""; 0], "the reply was missing before");
        after["participants"].as_array_mut().unwrap().push(json!({ "who": { "display": "y" } }));
        assert_eq!(new("appointment", &before, &after), ["LIA-MAP-005 /participants/1/reply"]);
        after = before.clone();
        after.as_object_mut().unwrap().remove("status");
        after["colour"] = "red".into();
        let mut told = new("appointment", &before, &after);
        told.sort();
        assert_eq!(told, ["LIA-MAP-004 /colour", "LIA-MAP-005 /status"]);
    }
}
