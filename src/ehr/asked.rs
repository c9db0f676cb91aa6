//! What a search asked for, held against what its first page shows: an EHR that ignores a parameter answers with more than
//! was asked for (<https://hl7.org/fhir/R4/search.html#errors>). `Bundle.link[self]` says which parameters it used; for
//! identifiers the entries themselves decide, because that link is often wrong.

use std::collections::BTreeSet;

use reqwest::Url;
use serde_json::Value;

use crate::fhir;

/// Parameters that say how a list is shown, not what is in it.
const MANNERS: [&str; 7] = ["_count", "_sort", "_format", "_total", "_summary", "_elements", "_pretty"];

/// The parameters of a search.
#[derive(Debug)]
pub(super) struct Asked {
    kind: String,
    names: BTreeSet<String>,
    /// Those of `identifier`, each with its system where one was given.
    identifiers: Vec<(Option<String>, String)>,
}

impl Asked {
    pub(super) fn of(kind: &str, url: &Url) -> Self {
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let names =
            pairs.iter().map(|(name, _)| name.clone()).filter(|name| !MANNERS.contains(&name.as_str())).collect();
        let tokens = pairs.iter().filter(|(name, _)| name == "identifier").flat_map(|(_, value)| split(value, ','));
        Self { kind: kind.to_owned(), names, identifiers: tokens.map(|token| identifier(&token)).collect() }
    }

    /// Names of the parameters that the EHR did not heed, as its first page shows.
    pub(super) fn ignored(&self, bundle: &Value) -> Vec<String> {
        let used = used(bundle);
        let unused = |name: &&String| {
            let plain = name.split(':').next().unwrap_or(name);
            plain != "identifier" && used.as_ref().is_some_and(|used| !used.contains(plain))
        };
        let mut ignored: Vec<String> = self.names.iter().filter(unused).cloned().collect();
        if !self.identifiers.is_empty() {
            let entries = bundle.get("entry").and_then(Value::as_array).into_iter().flatten();
            let mut matches = entries
                .filter(|entry| {
                    entry.pointer("/search/mode").and_then(Value::as_str).is_none_or(|mode| mode == "match")
                })
                .filter_map(|entry| entry.get("resource"))
                .filter(|resource| fhir::resource_type(resource) == Some(&self.kind));
            let is_asked_for = |resource: &Value| self.identifiers.iter().any(|asked| carries_loosely(resource, asked));
            if matches.any(|resource| !is_asked_for(resource)) {
                ignored.push("identifier".to_owned());
            }
        }
        ignored
    }
}

/// The parameters that a page says were used; nothing where it does not say, or its link is opaque.
fn used(bundle: &Value) -> Option<BTreeSet<String>> {
    let links = bundle.get("link")?.as_array()?;
    let own = links.iter().find(|link| link.get("relation").and_then(Value::as_str) == Some("self"))?;
    let link = own.get("url")?.as_str()?;
    let query = link.split_once('?').map_or("", |(_, query)| query);
    let names: BTreeSet<String> = url::form_urlencoded::parse(query.as_bytes())
        .map(|(name, _)| name.split(':').next().unwrap_or_default().to_owned())
        .collect();
    let opaque = names.iter().any(|name| name.starts_with("_get") || name.contains("page") || name.contains("cursor"));
    (!opaque).then_some(names)
}

/// Case and white space are the EHR's affair: such a match is no sign that it ignores what was asked.
fn carries_loosely(resource: &Value, (system, value): &(Option<String>, String)) -> bool {
    let same = |a: &str, b: &str| a.trim().eq_ignore_ascii_case(b.trim());
    let is = |id: &Value| {
        let member = |name: &str| id.get(name).and_then(Value::as_str).unwrap_or_default();
        same(member("value"), value) && system.as_ref().is_none_or(|system| same(member("system"), system))
    };
    match resource.get("identifier") {
        Some(Value::Array(list)) => list.iter().any(is),
        Some(one) => is(one),
        None => false,
    }
}

/// Splits at a sign that is not escaped, and leaves the escapes.
fn split(text: &str, at: char) -> Vec<String> {
    let (mut parts, mut escaped) = (vec![String::new()], false);
    for c in text.chars() {
        if c == at && !escaped {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    parts
}

fn identifier(token: &str) -> (Option<String>, String) {
    let mut parts = split(token, '|').into_iter().map(|part| plain(&part));
    match (parts.next(), parts.next()) {
        (Some(system), Some(value)) => (Some(system), value),
        (Some(value), None) => (None, value),
        (None, _) => (None, String::new()),
    }
}

fn plain(escaped: &str) -> String {
    let (mut out, mut escape) = (String::new(), false);
    for c in escaped.chars() {
        if c == '\\' && !escape {
            escape = true;
        } else {
            out.push(c);
            escape = false;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(query: &str) -> Asked {
        Asked::of("Patient", &Url::parse(&format!("https://ehr.example.com/fhir/Patient?{query}")).unwrap())
    }

    fn page(own: &str, values: &[&str]) -> Value {
        let entries: Vec<Value> = values
            .iter()
            .map(|value| json!({"resource": {"resourceType": "Patient", "identifier": [{"system": "s", "value": value}]}}))
            .collect();
        json!({"resourceType": "Bundle", "link": [{"relation": "self", "url": own}], "entry": entries})
    }

    #[test]
    fn entries_that_were_not_asked_for_show_that_identifiers_are_ignored() {
        let of = |query: &str, values: &[&str]| asked(query).ignored(&page("", values));
        let ignored = vec!["identifier".to_owned()];
        assert_eq!(of("identifier=s|a", &["a", "b"]), ignored);
        assert_eq!(of("identifier=s|a", &["b"]), ignored);
        assert_eq!(of("identifier=t|a", &["a"]), ignored, "another system");
        for heeded in [&["a"][..], &["A "], &[]] {
            assert_eq!(of("identifier=s|a", heeded), Vec::<String>::new(), "{heeded:?}");
        }
        assert_eq!(of("identifier=a&name=x", &["a"]), ["name"], "its own link leaves it out");
        assert_eq!(of(r"identifier=s|a\,b", &["a,b"]), Vec::<String>::new());
        assert_eq!(of("_count=5", &["a"]), Vec::<String>::new());
        let mut included = page("", &["a"]);
        included["entry"][0]["resource"]["identifier"][0]["value"] = json!("other");
        included["entry"][0]["search"] = json!({"mode": "include"});
        assert_eq!(asked("identifier=s|a").ignored(&included), Vec::<String>::new());
    }

    #[test]
    fn the_own_link_says_what_was_used_unless_it_is_opaque() {
        let of = |own: &str| asked("_lastUpdated=ge2026&_sort=_lastUpdated").ignored(&page(own, &[]));
        assert_eq!(of("https://x/fhir/Patient?_count=10"), ["_lastUpdated"]);
        assert_eq!(of("https://x/fhir/Patient?_lastUpdated=ge2026-01-01"), Vec::<String>::new());
        assert_eq!(of("https://x/fhir?_getpages=abc"), Vec::<String>::new());
        let silent = json!({"resourceType": "Bundle"});
        assert_eq!(asked("_lastUpdated=ge2026").ignored(&silent), Vec::<String>::new());
    }
}
