//! History of an instance, a type, or everything, newest first, in pages (<https://hl7.org/fhir/R4/http.html#history>).

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Error, HistoryQuery, Serving, Version,
    message::{Answer, Method, Request},
    search::date,
};

const COUNT: usize = 50;
const MOST: usize = 1000;

impl Serving<'_> {
    pub(super) fn instance_history(self, kind: &str, id: &str, request: &Request) -> Result<Answer, Error> {
        let mut versions = self.store.versions(kind, id)?;
        if versions.is_empty() {
            return Err(Error::NotFound(format!("{kind}/{id}")));
        }
        versions.reverse();
        let asked = Asked::of(request, None)?;
        let total = versions.len();
        versions.retain(|version| asked.takes(version));
        versions.truncate(asked.query.limit);
        self.history_bundle(&format!("{kind}/{id}/_history"), &versions, Some(total), &asked)
    }

    pub(super) fn history(self, kind: Option<&str>, request: &Request) -> Result<Answer, Error> {
        let asked = Asked::of(request, kind)?;
        let versions = self.store.history(&asked.query)?;
        let path = kind.map_or_else(|| "_history".to_owned(), |kind| format!("{kind}/_history"));
        self.history_bundle(&path, &versions, None, &asked)
    }

    fn history_bundle(
        self,
        path: &str,
        versions: &[Arc<Version>],
        total: Option<usize>,
        asked: &Asked,
    ) -> Result<Answer, Error> {
        let entries: Vec<Value> = versions.iter().map(|version| self.history_entry(version)).collect();
        let mut links = vec![json!({"relation": "self", "url": self.link(path, &asked.kept)})];
        if let Some(last) = versions.last().filter(|_| asked.more(versions.len(), total)) {
            let mut pairs = asked.kept.clone();
            pairs.retain(|(key, _)| key != "_before");
            pairs.push(("_before".to_owned(), last.sequence.to_string()));
            links.push(json!({"relation": "next", "url": self.link(path, &pairs)}));
        }
        let mut bundle = json!({"resourceType": "Bundle", "type": "history"});
        if let Some(total) = total {
            bundle["total"] = json!(total);
        }
        bundle["link"] = json!(links);
        if !entries.is_empty() {
            bundle["entry"] = json!(entries);
        }
        Ok(Answer::of(200, bundle))
    }

    fn history_entry(self, version: &Version) -> Value {
        let name = version.name();
        let mut entry = json!({"fullUrl": format!("{}/{name}", self.server.base)});
        if let Some(resource) = &version.resource {
            entry["resource"] = resource.clone();
        }
        let url = if version.method == Method::Post { version.kind.clone() } else { name };
        entry["request"] = json!({"method": version.method.name(), "url": url});
        let status = match version.method {
            Method::Post => "201 Created",
            Method::Delete => "204 No Content",
            _ => "200 OK",
        };
        entry["response"] = json!({
            "status": status, "etag": version.etag(), "lastModified": date::instant(version.at),
        });
        entry
    }

    pub(super) fn link(self, path: &str, pairs: &[(String, String)]) -> String {
        let base = &self.server.base;
        if pairs.is_empty() {
            return format!("{base}/{path}");
        }
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        if path.is_empty() { format!("{base}?{query}") } else { format!("{base}/{path}?{query}") }
    }
}

struct Asked {
    query: HistoryQuery,
    kept: Vec<(String, String)>,
}

impl Asked {
    fn of(request: &Request, kind: Option<&str>) -> Result<Self, Error> {
        let mut query = HistoryQuery { kind: kind.map(str::to_owned), limit: COUNT, ..HistoryQuery::default() };
        let mut kept = Vec::new();
        for (key, value) in request.pairs() {
            let bad = || Error::BadQuery(format!("{key}: the value cannot be read"));
            match key.as_str() {
                "_count" => query.limit = value.parse::<usize>().map_err(|_| bad())?.clamp(1, MOST),
                "_since" => query.since = Some(date::Range::parse(&value).ok_or_else(bad)?.low),
                "_before" => query.before = Some(value.parse().map_err(|_| bad())?),
                "_format" | "_pretty" => {}
                _ => return Err(Error::BadQuery(format!("history has no parameter {key}"))),
            }
            kept.push((key, value));
        }
        Ok(Self { query, kept })
    }

    fn takes(&self, version: &Version) -> bool {
        self.query.since.is_none_or(|since| version.at >= since)
            && self.query.before.is_none_or(|before| version.sequence < before)
    }

    /// A full page may have a successor; an empty one at the end costs a request and no more.
    fn more(&self, given: usize, total: Option<usize>) -> bool {
        given == self.query.limit && total.is_none_or(|total| total > given)
    }
}
