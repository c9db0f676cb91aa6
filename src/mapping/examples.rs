//! Worked examples of an object: an internal object and the FHIR side it stands for.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::json;

use super::{Context, MappingError, ObjectType, Part, Plan};
use crate::{
    error::Finding,
    fhir::{Object, Value, canonically_equal, resource_type},
};

/// One worked example.
#[derive(Clone, Debug)]
pub struct Example {
    /// The file's name without ending, with the dialect's folder before it if it is an overlay's.
    pub name: Arc<str>,
    /// The internal object.
    pub internal: Value,
    /// The resources, the main one first.
    pub fhir: Vec<Value>,
}

impl Example {
    pub(crate) fn new(name: &str, internal: Value, fhir: Value) -> Self {
        Self { name: name.into(), internal, fhir: resources(fhir) }
    }

    /// The dialect whose overlay it shows; `generic` for the base mapping.
    #[must_use]
    pub fn dialect(&self) -> &str {
        self.name.split_once('/').map_or("generic", |(dialect, _)| dialect)
    }

    /// Whether it shows what an EHR might send, so that only the way to the internal side is compared.
    #[must_use]
    pub fn is_inbound(&self) -> bool {
        self.name.ends_with(".inbound")
    }

    /// What examples are made with: the instance `example-clinic`, no default zone.
    #[must_use]
    pub fn context() -> Context {
        Context::new("example-clinic")
    }
}

/// A worked example of what a dialect does not take (`NAME.internal.json` and `NAME.refused.json`).
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The dialect's folder and the file's name without ending.
    pub name: Arc<str>,
    /// The object that is not taken.
    pub internal: Value,
    /// What the system holds before, as an object; none: nothing.
    pub before: Option<Value>,
    /// Place, and words that the finding has.
    pub findings: Vec<(String, String)>,
}

impl Refusal {
    pub(crate) fn new(name: &str, internal: Value, refused: &Value) -> Option<Self> {
        let text = |finding: &Value, key: &str| finding.get(key)?.as_str().map(str::to_owned);
        let findings = refused.get("findings")?.as_array()?.iter();
        let findings: Option<Vec<_>> =
            findings.map(|finding| Some((text(finding, "pointer")?, text(finding, "says")?))).collect();
        let before = refused.get("before").cloned();
        Some(Self { name: name.into(), internal, before, findings: findings.filter(|all| !all.is_empty())? })
    }

    /// The dialect that does not take it.
    #[must_use]
    pub fn dialect(&self) -> &str {
        self.name.split_once('/').map_or("generic", |(dialect, _)| dialect)
    }
}

/// What is wrong with a worked example: its name, and what differs from what the mapping makes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ExampleFault {
    /// The example.
    pub example: String,
    /// Which side or step.
    pub what: String,
    /// Place, what the example says, what the mapping makes.
    pub differences: Vec<(String, Value, Value)>,
}

impl Plan {
    /// Runs the worked examples of this plan's dialect: both ways, put back unchanged, refused where they say so. Gives
    /// how many were run, and what is wrong.
    #[must_use]
    pub fn try_examples(&self, object: &ObjectType) -> (usize, Vec<ExampleFault>) {
        let (mut run, mut faults) = (0, Vec::new());
        for example in object.examples().iter().filter(|example| example.dialect() == self.dialect()) {
            run += 1;
            self.try_example(object, example, &mut faults);
        }
        for refusal in object.refusals().iter().filter(|refusal| refusal.dialect() == self.dialect()) {
            run += 1;
            self.try_refusal(refusal, &mut faults);
        }
        (run, faults)
    }

    fn try_example(&self, object: &ObjectType, example: &Example, faults: &mut Vec<ExampleFault>) {
        let context = Example::context();
        let findings = object.validate(&example.internal);
        if !findings.is_empty() {
            // What the schema refuses cannot be compared with anything.
            let wrong =
                |found: Finding| (found.pointer, Value::Null, json!(format!("{}; {}", found.detail, found.remedy)));
            let differences = findings.into_iter().map(wrong).collect();
            let (example, what) = (example.name.to_string(), "the schema".to_owned());
            faults.push(ExampleFault { example, what, differences });
            return;
        }
        let mut compare = |what: &str, wanted: &Value, got: &Value| {
            let mut differences = Vec::new();
            differ("", wanted, got, &mut differences);
            if !differences.is_empty() {
                faults.push(ExampleFault { example: example.name.to_string(), what: what.to_owned(), differences });
            }
        };
        let back = self.to_internal(&example.fhir, &context);
        let normal = self.without_losses(&self.normalise(&example.internal, &context));
        compare("to internal", &normal, &self.without_losses(&back));
        let resources = |parts: &[Part]| -> Value { parts.iter().map(|part| part.resource.clone()).collect() };
        let base = self.parts(&example.fhir);
        match self.put(&back, &base, &context) {
            Ok(after) => compare("put back", &resources(&base), &resources(&after)),
            Err(error) => compare("put back", &Value::Null, &error.to_string().into()),
        }
        if !example.is_inbound() {
            match self.to_fhir(&example.internal, &context) {
                Ok(parts) => compare("to FHIR", &Value::Array(example.fhir.clone()), &resources(&parts)),
                Err(error) => compare("to FHIR", &Value::Null, &error.to_string().into()),
            }
        }
    }

    fn try_refusal(&self, refusal: &Refusal, faults: &mut Vec<ExampleFault>) {
        let context = Example::context();
        let held = refusal.before.as_ref().map(|before| self.as_held(before, &context));
        let told = match held.transpose() {
            Ok(held) => self.not_taken(&refusal.internal, held.as_deref().unwrap_or_default(), &context),
            Err(MappingError::Unsayable(findings)) => findings,
            Err(_) => Vec::new(),
        };
        let wanted = &refusal.findings;
        let said = |(pointer, says): &(String, String)| {
            told.iter().any(|finding| finding.pointer == *pointer && finding.detail.contains(says.as_str()))
        };
        if !wanted.iter().all(said) || told.len() != wanted.len() {
            let list = |all: Vec<(&str, &str)>| json!(all);
            let wanted = list(wanted.iter().map(|(pointer, says)| (pointer.as_str(), says.as_str())).collect());
            let got = list(told.iter().map(|told| (told.pointer.as_str(), told.detail.as_str())).collect());
            let differences = vec![(String::new(), wanted, got)];
            faults.push(ExampleFault { example: refusal.name.to_string(), what: "refused".to_owned(), differences });
        }
    }
}

/// Places where two values differ.
pub(crate) fn differ(at: &str, wanted: &Value, got: &Value, found: &mut Vec<(String, Value, Value)>) {
    match (wanted, got) {
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let of = |side: &Object| side.get(name).cloned().unwrap_or_default();
                differ(&format!("{at}/{name}"), &of(a), &of(b), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differ(&format!("{at}/{index}"), a, b, found);
            }
        }
        _ if !canonically_equal(wanted, got) => found.push((at.to_owned(), wanted.clone(), got.clone())),
        _ => {}
    }
}

/// The resources of one resource or of a Bundle's entries.
#[must_use]
pub fn resources(fhir: Value) -> Vec<Value> {
    if resource_type(&fhir) != Some("Bundle") {
        return vec![fhir];
    }
    let entries = fhir.get("entry").and_then(Value::as_array);
    entries.into_iter().flatten().filter_map(|entry| entry.get("resource").cloned()).collect()
}
