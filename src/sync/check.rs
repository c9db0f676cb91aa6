//! Whether an internal object can go where it should: its schema, the objects it refers to, and for each system the
//! translation and the rules its resources must keep. Findings name places, never values.

use serde_json::Value;

use super::{
    Error, identity,
    prepare::{Held, part_name},
    setup::System,
    translator::Translator,
};
use crate::{
    domain::{ObjectId, ObjectName, Time, TimeError},
    error::Finding,
    fhir::stored,
    ledger::{Hash, SyncId},
    mapping::{MAIN, ObjectType, Part, Plan},
    profile::{Issue, Options, new_faults},
};

/// What one system would get.
pub(super) struct Translated {
    /// Parts, the main one first, references logical.
    pub parts: Vec<Part>,
    /// What keeps it from being sent.
    pub findings: Vec<Finding>,
}

impl Translator {
    /// Schema and references: what is wrong with the object itself; of a change of `before` what is new in it.
    pub fn check_object(&self, kind: &ObjectType, before: Option<&Value>, body: &Value) -> Result<(), Error> {
        let mut findings = before.map_or_else(|| kind.validate(body), |before| kind.new_faults(before, body));
        if findings.is_empty() {
            let known = before.map(identity::references).unwrap_or_default();
            for (pointer, (object, id)) in identity::references(body) {
                if known.iter().any(|(_, whose)| *whose == (object.clone(), id.clone())) {
                    continue;
                }
                if self.mappings.now().object(object.as_str()).is_none() {
                    findings.push(unknown(pointer, &format!("There is no kind of object called {object}.")));
                } else if self.ledger.object(&object, &id)?.is_none() {
                    findings.push(unknown(pointer, &format!("This {object} is not known here.")));
                }
            }
        }
        if findings.is_empty() {
            for (pointer, id) in uploads(body) {
                if self.ledger.attachment(&id)?.is_none() {
                    findings.push(never_uploaded(pointer));
                }
            }
        }
        if findings.is_empty() { Ok(()) } else { Err(Error::Invalid(findings)) }
    }

    /// The translation for a system, written into what it was last seen to hold, and what is wrong with it. Faults that
    /// are there already are nobody's who changes something else.
    pub fn translate(&self, object: &ObjectName, body: &Value, system: &System) -> Result<Translated, Error> {
        let plan = self.plan(object, system)?;
        let id = body.get("id").and_then(Value::as_str).and_then(|id| ObjectId::new(id).ok());
        let held = id.map_or(Ok(Vec::new()), |id| self.held(&SyncId::of(object, &id, system.name())))?;
        let made = self.as_made(&held, system);
        let parts = match plan.put(body, &made, &system.context).map_err(Error::from) {
            Ok(parts) => parts,
            Err(Error::Invalid(findings)) => return Ok(Translated { parts: Vec::new(), findings }),
            Err(error) => return Err(error),
        };
        // What this system, by its dialect, does not let others write.
        let mut findings = self.not_permitted(&plan, body, &held, system);
        for part in &parts {
            let before = made.iter().find(|before| part_name(before) == part_name(part));
            findings.extend(self.break_rules(object, part, before, system));
        }
        Ok(Translated { parts, findings })
    }

    /// As [`Plan::permits`], of what is held.
    pub fn not_permitted(&self, plan: &Plan, ours: &Value, held: &[Held], system: &System) -> Vec<Finding> {
        if !plan.is_choosy() {
            return Vec::new();
        }
        let there = held.iter().any(|held| held.part == MAIN).then(|| self.read_back(plan, held, system));
        plan.permits(there.as_ref(), ours, &system.context)
    }

    /// How resources are validated here: rules that speak of today go by the gateway's clock.
    fn options(&self, profiles: Vec<String>) -> Options {
        Options { now: Some(self.clock.now()), doubtful_data: true, ..Options::with_profiles(profiles) }
    }

    /// Errors of one part against FHIR R4 and, for the main part, the system's profiles, that what is there (`before`) lacks.
    fn break_rules(&self, object: &ObjectName, part: &Part, before: Option<&Part>, system: &System) -> Vec<Finding> {
        // The bytes of a stored attachment are put in when it is sent.
        if part.attachment().is_some() {
            return Vec::new();
        }
        let main = part.role.as_ref() == MAIN;
        let profiles = system.config.profiles.get(object).filter(|_| main).cloned().unwrap_or_default();
        let stand_in = stored::stand_in(&part.resource);
        let resource = stand_in.as_ref().unwrap_or(&part.resource);
        let options = self.options(profiles);
        let report = self.validator.validate(resource, &options);
        let issues: Vec<&Issue> = match before.filter(|_| report.errors().next().is_some()) {
            None => report.errors().collect(),
            Some(before) => {
                let stand_in = stored::stand_in(&before.resource);
                let before = stand_in.as_ref().unwrap_or(&before.resource);
                new_faults((&self.validator.validate(before, &options), before), (&report, resource))
            }
        };
        issues
            .into_iter()
            .map(|issue| {
                let outcome = issue.to_outcome(None);
                Finding {
                    pointer: String::new(),
                    code: "LIA-SYNC-020".to_owned(),
                    detail: format!("For {}: {} ({})", system.name(), outcome.text, outcome.expression),
                    remedy: "Mend the field of the object that this element is made from; ?preview=true shows both."
                        .to_owned(),
                }
            })
            .collect()
    }

    /// What is wrong with a resource that an EHR sent. A fault in a place that the object's mapping does not read keeps
    /// nothing out; where there is no mapping, every one counts.
    pub fn breaks_base(&self, resource: &Value, plan: Option<&Plan>, system: &System) -> Blemishes {
        let mut stand_in = stored::stand_in(resource);
        if has_local_times(resource) {
            place_in(stand_in.get_or_insert_with(|| resource.clone()), &system.config.zone);
        }
        let judged = stand_in.as_ref().unwrap_or(resource);
        let report = self.validator.validate(judged, &self.options(Vec::new()));
        let counts: Vec<&Issue> = match plan {
            Some(plan) => report.bearing(judged, &|place| plan.reads(judged, place, &system.context)),
            None => report.errors().collect(),
        };
        let finding = |issue: &Issue| {
            let outcome = issue.to_outcome(None);
            received(&outcome.expression, &outcome.text)
        };
        let mut keep_out: Vec<Finding> = counts.iter().map(|issue| finding(issue)).collect();
        // What is known of the bytes is judged without them.
        keep_out.extend(self.false_claims(resource).unwrap_or_default().into_iter().map(|claim| received("", claim)));
        let told = |place: &String| counts.iter().any(|issue| issue.pointer == *place);
        let modifiers = plan.map(|plan| plan.unread_modifiers(judged, &system.context)).unwrap_or_default();
        let not_understood = "It carries something that may change its meaning and that the gateway does not know: ";
        keep_out.extend(
            modifiers
                .iter()
                .filter(|place| !told(place))
                .map(|place| received(place, &format!("{not_understood}{place}"))),
        );
        let passed_over = report.errors().filter(|issue| !counts.iter().any(|counted| std::ptr::eq(*counted, *issue)));
        Blemishes { passed_over: passed_over.map(finding).collect(), keep_out }
    }
}

/// What is wrong with a resource that was received.
#[derive(Debug, Default)]
pub(super) struct Blemishes {
    /// It cannot be taken in for these.
    pub keep_out: Vec<Finding>,
    /// They change nothing of what is read.
    pub passed_over: Vec<Finding>,
}

impl Blemishes {
    /// What history says of those that were passed over.
    pub fn remark(&self) -> String {
        match self.passed_over.as_slice() {
            [] => String::new(),
            [first, ..] => format!(
                " Passed over: {} of FHIR's rules broken in places that are not read, first at {}.",
                self.passed_over.len(),
                first.pointer
            ),
        }
    }
}

fn received(place: &str, detail: &str) -> Finding {
    Finding {
        pointer: place.to_owned(),
        code: "LIA-SYNC-014".to_owned(),
        detail: detail.to_owned(),
        remedy: "Have it mended at the EHR.".to_owned(),
    }
}

/// A moment that does not say where: FHIR wants an offset; from an EHR that leaves it out it is one of the EHR's zone.
fn is_local(text: &str) -> bool {
    text.len() >= 16 && text.as_bytes()[10] == b'T' && matches!(Time::parse(text), Err(TimeError::NoOffset))
}

fn has_local_times(value: &Value) -> bool {
    match value {
        Value::String(text) => is_local(text),
        Value::Array(items) => items.iter().any(has_local_times),
        Value::Object(members) => members.values().any(has_local_times),
        _ => false,
    }
}

fn place_in(value: &mut Value, zone: &str) {
    match value {
        Value::String(text) if is_local(text) => {
            if let Ok(time) = Time::parse_in(text, zone) {
                *text = time.without_zone();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| place_in(item, zone)),
        Value::Object(members) => members.values_mut().for_each(|value| place_in(value, zone)),
        _ => {}
    }
}

/// The uploads that an object names (`{"id": "sha256-…"}` below the top level), with their pointers.
fn uploads(body: &Value) -> Vec<(String, Hash)> {
    fn walk(value: &Value, pointer: &str, found: &mut Vec<(String, Hash)>) {
        match value {
            Value::Object(members) => {
                let named = members.get("id").and_then(Value::as_str).filter(|id| id.starts_with("sha256-"));
                if let Some(id) = named.and_then(Hash::parse)
                    && !pointer.is_empty()
                    && !members.contains_key("object")
                {
                    found.push((format!("{pointer}/id"), id));
                }
                members.iter().for_each(|(name, value)| walk(value, &format!("{pointer}/{name}"), found));
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(at, item)| walk(item, &format!("{pointer}/{at}"), found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(body, "", &mut found);
    found
}

fn never_uploaded(pointer: String) -> Finding {
    Finding {
        pointer,
        code: "LIA-SYNC-022".to_owned(),
        detail: "This file was never uploaded here.".to_owned(),
        remedy: "Upload it with POST /api/v1/attachments and use the id in the answer, or put the bytes inline."
            .to_owned(),
    }
}

fn unknown(pointer: String, detail: &str) -> Finding {
    Finding {
        pointer,
        code: "LIA-SYNC-011".to_owned(),
        detail: detail.to_owned(),
        remedy: "Send it first, or refer by an identifier that the EHR knows.".to_owned(),
    }
}
