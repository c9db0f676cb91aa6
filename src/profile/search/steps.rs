//! Paths of search parameters as steps over JSON: members (choices by their types), `as`, `ofType`, `where(name =
//! 'text')`, `where(resolve() is Type)`, `extension('url')`. What has any other form is not compiled here.

use std::borrow::Cow;

use serde_json::Value;

use crate::fhir::Reference;

/// Elements that may have any type.
const OPEN: [&str; 4] = ["value", "defaultValue", "fixed", "pattern"];
/// Types that only these may have: `subscriberId` is an element of its own, not `subscriber` as an id.
const ONLY_IN_OPEN: [&str; 3] = ["Id", "Oid", "Uuid"];

/// Types that a choice element (`value[x]`) may have.
const CHOICES: [&str; 50] = [
    "Base64Binary",
    "Boolean",
    "Canonical",
    "Code",
    "Date",
    "DateTime",
    "Decimal",
    "Id",
    "Instant",
    "Integer",
    "Markdown",
    "Oid",
    "PositiveInt",
    "String",
    "Time",
    "UnsignedInt",
    "Uri",
    "Url",
    "Uuid",
    "Address",
    "Age",
    "Annotation",
    "Attachment",
    "CodeableConcept",
    "Coding",
    "ContactPoint",
    "Count",
    "Distance",
    "Duration",
    "HumanName",
    "Identifier",
    "Money",
    "Period",
    "Quantity",
    "Range",
    "Ratio",
    "Reference",
    "SampledData",
    "Signature",
    "Timing",
    "ContactDetail",
    "Contributor",
    "DataRequirement",
    "Expression",
    "ParameterDefinition",
    "RelatedArtifact",
    "TriggerDefinition",
    "UsageContext",
    "Dosage",
    "Meta",
];

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// A member, or the choice of that name, of this type if one is said.
    Child(String, Option<String>),
    /// `where(name = 'text')`.
    Equal(String, String),
    /// `where(resolve() is Type)`.
    RefersTo(String),
    /// `extension('url')`.
    Extension(String),
}

/// A compiled path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

impl Path {
    /// `None` if the text has a form that is not known here.
    pub fn compile(text: &str) -> Option<Self> {
        let mut text = text.trim();
        let mut of_type = None;
        // `(Observation.value as Quantity)`, maybe with more behind.
        let mut behind = "";
        if let Some(inner) = text.strip_prefix('(') {
            let (inside, rest) = inner.split_once(')')?;
            if !rest.is_empty() && !rest.starts_with('.') {
                return None;
            }
            (text, behind) = (inside, rest.trim_start_matches('.'));
        }
        if let Some((path, name)) = text.split_once(" as ") {
            (text, of_type) = (path, Some(name.trim()));
        }
        let mut steps = Vec::new();
        let mut parts = Parts(text.trim()).collect::<Option<Vec<_>>>()?.into_iter().peekable();
        if parts.peek().is_some_and(|head| head.starts_with(|c: char| c.is_ascii_uppercase())) {
            parts.next();
        }
        for part in parts {
            push(&mut steps, part)?;
        }
        if let Some(name) = of_type {
            narrow(&mut steps, name)?;
        }
        for part in Parts(behind).collect::<Option<Vec<_>>>()? {
            push(&mut steps, part)?;
        }
        Some(Self(steps))
    }

    /// Everything at the path.
    pub fn values<'r>(&self, resource: &'r Value, found: &mut Vec<Cow<'r, Value>>) {
        walk(&self.0, resource, found);
    }
}

/// The parts between dots that stand outside of parentheses and texts.
struct Parts<'t>(&'t str);

impl<'t> Iterator for Parts<'t> {
    type Item = Option<&'t str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let (mut depth, mut quoted) = (0_i32, false);
        for (at, letter) in self.0.char_indices() {
            match letter {
                '\'' => quoted = !quoted,
                '(' if !quoted => depth += 1,
                ')' if !quoted => depth -= 1,
                '.' if !quoted && depth == 0 => {
                    let part = &self.0[..at];
                    self.0 = &self.0[at + 1..];
                    return Some(Some(part));
                }
                _ => {}
            }
        }
        let part = std::mem::take(&mut self.0);
        Some((depth == 0 && !quoted).then_some(part))
    }
}

fn push(steps: &mut Vec<Step>, part: &str) -> Option<()> {
    let Some((function, rest)) = part.split_once('(') else {
        let name = !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
        return name.then(|| steps.push(Step::Child(part.to_owned(), None)));
    };
    let argument = rest.strip_suffix(')')?.trim();
    match function {
        "as" | "ofType" => narrow(steps, argument),
        "extension" => {
            steps.push(Step::Extension(quoted(argument)?.to_owned()));
            Some(())
        }
        "where" => {
            if let Some(kind) = argument.strip_prefix("resolve() is ") {
                steps.push(Step::RefersTo(kind.trim().to_owned()));
                return Some(());
            }
            let (name, text) = argument.split_once('=')?;
            let name = name.trim();
            let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
            let text = quoted(text.trim())?;
            plain.then(|| steps.push(Step::Equal(name.to_owned(), text.to_owned())))
        }
        _ => None,
    }
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('\'')?.strip_suffix('\'').filter(|text| !text.contains(['\'', '\\']))
}

/// Gives the last member its type.
fn narrow(steps: &mut [Step], name: &str) -> Option<()> {
    match steps.last_mut() {
        Some(Step::Child(_, of_type @ None)) => {
            let mut letters = name.trim().chars();
            *of_type = Some(letters.next()?.to_ascii_uppercase().to_string() + letters.as_str());
            Some(())
        }
        _ => None,
    }
}

fn walk<'r>(steps: &[Step], value: &'r Value, found: &mut Vec<Cow<'r, Value>>) {
    if let Value::Array(items) = value {
        return items.iter().for_each(|item| walk(steps, item, found));
    }
    let Some((step, rest)) = steps.split_first() else {
        if !value.is_null() {
            found.push(Cow::Borrowed(value));
        }
        return;
    };
    let holds = match step {
        Step::Child(name, of_type) => {
            if let Some(child) = child(value, name, of_type.as_deref()) {
                walk(rest, child, found);
            }
            return;
        }
        Step::Extension(url) => {
            let extensions = value.get("extension").and_then(Value::as_array);
            for extension in extensions.into_iter().flatten().filter(|extension| says(extension, "url", url)) {
                walk(rest, extension, found);
            }
            return;
        }
        Step::Equal(name, text) => says(value, name, text),
        Step::RefersTo(kind) => refers_to(value, kind),
    };
    if holds {
        walk(rest, value, found);
    }
}

fn says(value: &Value, name: &str, text: &str) -> bool {
    value.get(name).and_then(Value::as_str) == Some(text)
}

fn refers_to(value: &Value, kind: &str) -> bool {
    if let Some(text) = value.as_str().or_else(|| value.get("reference")?.as_str())
        && let Reference::Literal { kind: found, .. } = Reference::parse(text)
    {
        return found == kind;
    }
    says(value, "type", kind)
}

fn child<'r>(value: &'r Value, name: &str, of_type: Option<&str>) -> Option<&'r Value> {
    let members = value.as_object()?;
    if let Some(of_type) = of_type {
        // `as` may also stand on an element that has one type only.
        return members.get(&format!("{name}{of_type}")).or_else(|| members.get(name));
    }
    members.get(name).or_else(|| {
        let is_open = OPEN.contains(&name);
        let choice = |key: &String| {
            let kind = key.strip_prefix(name).filter(|kind| CHOICES.contains(kind));
            kind.is_some_and(|kind| is_open || !ONLY_IN_OPEN.contains(&kind))
        };
        members.iter().find(|(key, _)| choice(key)).map(|(_, value)| value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::read_str;

    fn found(path: &str, resource: &str) -> Vec<String> {
        let resource = read_str(resource).unwrap();
        let mut found = Vec::new();
        Path::compile(path).unwrap_or_else(|| panic!("{path}")).values(&resource, &mut found);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn paths_of_the_specification() {
        let observation = r#"{"resourceType":"Observation","valueQuantity":{"value":1.10},"effectiveDateTime":"2020",
            "subject":{"reference":"Patient/1"},"extension":[{"url":"http://x","valueCode":"c"}]}"#;
        assert_eq!(found("(Observation.value as Quantity)", observation), [r#"{"value":1.10}"#]);
        assert!(found("(Observation.value as string)", observation).is_empty());
        assert_eq!(found("Observation.effective", observation), ["\"2020\""]);
        assert_eq!(found("Observation.value.as(Quantity).value", observation), ["1.10"]);
        assert_eq!(found("Observation.subject.where(resolve() is Patient)", observation).len(), 1);
        assert!(found("Observation.subject.where(resolve() is Group)", observation).is_empty());
        assert_eq!(found("Observation.extension('http://x').value", observation), ["\"c\""]);
        assert!(found("Coverage.subscriber", r#"{"resourceType":"Coverage","subscriberId":"W1"}"#).is_empty());
        let patient = r#"{"name":[{"given":["A","B"]},{"given":["C"]}],
            "telecom":[{"system":"phone","value":"1"},{"system":"email","value":"2"}]}"#;
        assert_eq!(found("Patient.name.given", patient), ["\"A\"", "\"B\"", "\"C\""]);
        assert_eq!(found("Patient.telecom.where(system='email')", patient).len(), 1);
        for other in ["Bundle.entry[0].resource", "Patient.deceased.exists() and Patient.deceased != false", "a.b("] {
            assert_eq!(Path::compile(other), None, "{other}");
        }
    }
}
