//! The searchset Bundle of a page: matches, included resources, what was ignored, and `_summary`/`_elements`.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::query::{Query, Shape};
use crate::{
    fhir::outcome::{Issue, Severity, outcome},
    rest::{Error, Serving, Version},
};

impl Serving<'_> {
    pub(super) fn searchset(self, query: &Query, shown: &[Arc<Version>], total: Option<usize>) -> Result<Value, Error> {
        let mut bundle = json!({"resourceType": "Bundle", "type": "searchset"});
        if let Some(total) = total.filter(|_| !query.no_total && !self.quirks.no_totals) {
            bundle["total"] = json!(total);
        }
        bundle["link"] = json!([]);
        if query.shape == Shape::Count {
            return Ok(bundle);
        }
        let mut entries: Vec<Value> = shown.iter().map(|version| self.entry(version, "match", query)).collect();
        for version in self.included(shown, &query.includes)? {
            entries.push(self.entry(&version, "include", query));
        }
        if !query.ignored.is_empty() {
            let issues: Vec<Issue> = query.ignored.iter().map(|name| ignored(name)).collect();
            entries.push(json!({"resource": outcome(&issues), "search": {"mode": "outcome"}}));
        }
        if !entries.is_empty() {
            bundle["entry"] = json!(entries);
        }
        Ok(bundle)
    }

    fn entry(self, version: &Version, mode: &str, query: &Query) -> Value {
        let resource = version.resource.as_ref().map(|resource| shaped(resource, query));
        json!({
            "fullUrl": format!("{}/{}", self.server.base, version.name()),
            "resource": resource, "search": {"mode": mode},
        })
    }
}

fn ignored(name: &str) -> Issue {
    Issue {
        severity: Severity::Warning,
        code: "not-supported",
        text: format!("the search parameter {name} is not known here and was ignored"),
        expression: String::new(),
        diagnostics: None,
    }
}

/// The part of a resource that was asked for, marked SUBSETTED where it is less than the whole.
fn shaped(resource: &Value, query: &Query) -> Value {
    const ALWAYS: [&str; 3] = ["resourceType", "id", "meta"];
    let keep = |name: &str| match query.shape {
        Shape::Data => name != "text",
        Shape::Text => ALWAYS.contains(&name) || name == "text",
        _ if query.elements.is_empty() => true,
        _ => {
            let name = name.trim_start_matches('_');
            ALWAYS.contains(&name) || query.elements.iter().any(|asked| asked == name)
        }
    };
    let Value::Object(members) = resource else { return resource.clone() };
    if members.keys().all(|name| keep(name)) {
        return resource.clone();
    }
    let mut part: Map<String, Value> =
        members.iter().filter(|(name, _)| keep(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    let tag = json!({"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"});
    let meta = part.entry("meta").or_insert_with(|| json!({}));
    match meta.get_mut("tag").and_then(Value::as_array_mut) {
        Some(tags) => tags.push(tag),
        None => meta["tag"] = json!([tag]),
    }
    Value::Object(part)
}
