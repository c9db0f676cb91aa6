//! Trying a new mapping before it is used: a shadow run shows, field by field, what a candidate would do otherwise on
//! recorded objects and resources. Values are kept only where they are asked for: they are patient data.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;
use serde_json::Value;

use super::{Context, Mappings, Part, Plan};
use crate::fhir::{canonically_equal, inner, resource_type};

/// What was recorded once.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Kind of object.
    pub object: String,
    /// Its id.
    pub id: String,
    /// The dialect of the system that it went to or came from.
    pub dialect: String,
    /// That system's zone.
    pub zone: Option<Arc<str>>,
    /// What happened.
    pub what: What,
}

/// Which way it went.
#[derive(Clone, Debug)]
pub enum What {
    /// An object was accepted; the parts that the system held then, in the mapping's terms.
    Sent(Value, Vec<Part>),
    /// These resources came.
    Received(Vec<Value>),
}

/// What a candidate does otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Shadow {
    /// Records that were tried.
    pub tried: usize,
    /// Records that came out otherwise.
    pub changed: usize,
    /// By object, direction and field or element.
    pub differences: Vec<Difference>,
}

/// One field or element that comes out otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Difference {
    /// Kind of object.
    pub object: String,
    /// `to_fhir` or `to_internal`.
    pub direction: &'static str,
    /// The element from its resource down, or the field; without indexes.
    pub path: String,
    /// `file:line` of the candidate's rule (else of the one in use).
    pub rule: Option<String>,
    /// In how many records.
    pub records: usize,
    /// Some objects it happens to.
    pub examples: Vec<String>,
    /// What comes out now and what would, for the examples; only where asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<(Value, Value)>,
}

/// Objects that are named for a difference.
const EXAMPLES: usize = 5;

/// A run of two sets of mappings side by side.
pub struct Trial<'a> {
    now: &'a Mappings,
    candidate: &'a Mappings,
    context: Context,
    values: bool,
    shadow: Shadow,
    found: BTreeMap<(String, &'static str, String), Difference>,
}

impl<'a> Trial<'a> {
    /// Nothing is tried yet. `values`: keep what differs for the examples.
    #[must_use]
    pub fn new(now: &'a Mappings, candidate: &'a Mappings, context: Context, values: bool) -> Self {
        Self { now, candidate, context, values, shadow: Shadow::default(), found: BTreeMap::new() }
    }

    /// Runs both on one record.
    pub fn add(&mut self, record: &Recorded) {
        let Recorded { object, id, dialect, zone, what } = record;
        let context = zone.as_deref().map_or_else(|| self.context.clone(), |zone| self.context.clone().in_zone(zone));
        let plans = [self.now, self.candidate].map(|mappings| mappings.plan(object, dialect));
        let made = |plan: &Option<Arc<Plan>>| match what {
            What::Sent(internal, base) => sent(plan.as_deref(), internal, base, &context),
            What::Received(resources) => received(plan.as_deref(), resources, &context),
        };
        let direction = if matches!(what, What::Sent(..)) { "to_fhir" } else { "to_internal" };
        let mut places = Vec::new();
        compare(&made(&plans[0]), &made(&plans[1]), &mut places);
        self.shadow.tried += 1;
        self.shadow.changed += usize::from(!places.is_empty());
        let mut told = BTreeSet::new();
        for (path, before, after) in places {
            if !told.insert(path.clone()) {
                continue;
            }
            let key = (object.clone(), direction, path.clone());
            let known = self.found.entry(key).or_insert_with(|| Difference {
                object: object.clone(),
                direction,
                rule: plans.iter().rev().flatten().find_map(|plan| rule_of(plan, direction, &path)),
                path,
                ..Difference::default()
            });
            known.records += 1;
            if known.examples.len() < EXAMPLES && !known.examples.contains(id) {
                known.examples.push(id.clone());
                if self.values {
                    known.values.push((before, after));
                }
            }
        }
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> Shadow {
        Shadow { differences: self.found.into_values().collect(), ..self.shadow }
    }
}

/// What a plan makes, by part (empty: the object): comparable, whatever went wrong.
type Made = Vec<(String, Value)>;

fn sent(plan: Option<&Plan>, internal: &Value, base: &[Part], context: &Context) -> Made {
    let wrong = |what: &str| vec![("(refused)".to_owned(), Value::String(what.to_owned()))];
    let Some(plan) = plan else { return wrong("no such object") };
    match plan.put(internal, base, context) {
        Err(_) => wrong("cannot be sent"),
        Ok(parts) => {
            let name = |part: &Part| resource_type(&part.resource).unwrap_or_default().to_owned();
            parts.into_iter().map(|part| (name(&part), part.resource)).collect()
        }
    }
}

fn received(plan: Option<&Plan>, resources: &[Value], context: &Context) -> Made {
    match plan {
        None => vec![("(refused)".to_owned(), Value::String("no such object".to_owned()))],
        Some(plan) => vec![(String::new(), plan.to_internal(resources, context))],
    }
}

type Place = (String, Value, Value);

fn compare(before: &Made, after: &Made, places: &mut Vec<Place>) {
    let missing = Value::Null;
    for (at, (name, value)) in before.iter().enumerate() {
        // The parts of one type come in one order.
        let nth = before[..at].iter().filter(|(other, _)| other == name).count();
        let there = after.iter().filter(|(other, _)| other == name).nth(nth);
        differ(name, value, there.map_or(&missing, |(_, value)| value), places);
    }
    for (at, (name, value)) in after.iter().enumerate() {
        let nth = after[..at].iter().filter(|(other, _)| other == name).count();
        if before.iter().filter(|(other, _)| other == name).nth(nth).is_none() {
            differ(name, &missing, value, places);
        }
    }
}

fn differ(at: &str, a: &Value, b: &Value, found: &mut Vec<Place>) {
    match (a, b) {
        _ if canonically_equal(a, b) => {}
        (Value::Object(x), Value::Object(y)) => {
            for name in x.keys().chain(y.keys().filter(|name| !x.contains_key(*name))) {
                let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                differ(&path, inner(a, name).unwrap_or(&Value::Null), inner(b, name).unwrap_or(&Value::Null), found);
            }
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            x.iter().zip(y).for_each(|(x, y)| differ(at, x, y, found));
        }
        _ => found.push((at.to_owned(), a.clone(), b.clone())),
    }
}

/// `file:line` of the rule that a difference belongs to.
fn rule_of(plan: &Plan, direction: &str, path: &str) -> Option<String> {
    if direction == "to_internal" {
        return plan.rule_of_field(path);
    }
    let (resource, path) = path.split_once('.')?;
    // What stands beside a primitive has its name.
    let path = path.split('.').map(|step| step.trim_start_matches('_')).collect::<Vec<_>>().join(".");
    let fits = |own: &str| path == own || path.strip_prefix(own).is_some_and(|rest| rest.starts_with('.'));
    let rules = plan.rule_paths();
    let of_part = |part: usize| plan.parts.get(part).is_some_and(|part| *part.resource == *resource);
    let mut rules: Vec<_> =
        rules.iter().filter(|rule| of_part(rule.part) && !rule.rule.is_empty() && fits(&rule.path)).collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.path.len()));
    rules.first().map(|rule| rule.rule.clone())
}
