//! How an EHR misreads what it is asked, and what becomes of its answers: bodies, lists, headers that are not what they should be.

use liaison::{ehr::Response, rest};
use serde_json::{Value, json};

use super::SimEhr;
use crate::{
    books::{self, Who},
    quirk::{self, Kind},
};

impl SimEhr {
    /// What a list is asked for, as this EHR understands it.
    pub(super) fn narrow(&self, request: &mut rest::Request) {
        let mut pairs = request.pairs();
        if pairs.iter().any(|(name, _)| name == "identifier") && self.strikes(Kind::IgnoresIdentifier).is_some() {
            pairs.retain(|(name, _)| name != "identifier");
        }
        // Where further pages are the matter, there are some.
        let pages = [Kind::ForeignNext, Kind::PageFails].into_iter().any(|kind| self.has(kind));
        let small = self.strikes(Kind::SmallPages).is_some() || pages;
        if small && !pairs.iter().any(|(name, _)| name == "_page") {
            pairs.retain(|(name, _)| name != "_count");
            pairs.push(("_count".to_owned(), "2".to_owned()));
        }
        request.query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
    }

    pub(super) fn etag_form(&self) -> Option<Kind> {
        [Kind::StrongEtag, Kind::BareEtag, Kind::OpaqueEtag].into_iter().find(|kind| self.has(*kind))
    }

    pub(super) fn etag(form: Kind, version: &str) -> String {
        match form {
            Kind::StrongEtag => format!("\"{version}\""),
            Kind::BareEtag => version.to_owned(),
            _ => format!("\"h1-{version}58\""),
        }
    }

    /// An If-Match in another form than ours went out: compared as text.
    pub(super) fn misread_etag(&self, request: &mut rest::Request) -> Option<Response> {
        let form = self.etag_form()?;
        let asked = request.header("if-match")?.to_owned();
        let (kind, id) = request.path.split_once('/')?;
        let version = rest::Store::read(&self.books, kind, id).ok()??.version.clone();
        quirk::count(form);
        if asked == Self::etag(form, &version) {
            request.remove_header("if-match");
            None
        } else {
            Some(self.status(412, None))
        }
    }

    /// What it makes of a write: trims a remark, shouts a name, leaves out a date of birth, puts a visit off.
    pub(super) fn moves(&self, request: &mut rest::Request) {
        let Ok(mut body) = serde_json::from_slice::<Value>(&request.body) else { return };
        let vary = self.active(Kind::Moves).map_or(0, |quirk| quirk.vary);
        if let Some(family) = body.pointer("/name/0/family").and_then(Value::as_str).map(str::to_uppercase) {
            if vary.is_multiple_of(2) {
                body["name"][0]["family"] = json!(family);
            } else if let Some(members) = body.as_object_mut() {
                members.shift_remove("birthDate");
            }
        }
        if let Some(comment) = body["comment"].as_str().map(|text| text.replace("comment ", "c ")) {
            match vary % 3 {
                0 => body["comment"] = json!(comment),
                1 => body["status"] = json!("pending"),
                _ => body["start"] = json!(body["start"].as_str().unwrap_or_default().replace("09:00", "09:15")),
            }
        }
        request.body = body.to_string().into_bytes();
    }

    /// A second record that nobody asked for.
    pub(super) fn double(&self, answer: &rest::Response) {
        let Some(mut copy) = serde_json::from_slice::<Value>(&answer.body).ok() else { return };
        let Some(kind) = copy["resourceType"].as_str().map(str::to_owned) else { return };
        if let Some(members) = copy.as_object_mut() {
            members.shift_remove("meta");
        }
        let id = format!("double-{}", self.books.length());
        copy["id"] = json!(id);
        let write = books::own_write(&kind, &id, Some(copy));
        let _ = self.books.acting(Who::Itself, None, |books| rest::Store::commit(books, vec![write]));
    }

    /// Bodies and headers that are not what they should be.
    pub(super) fn spoil(&self, request: &rest::Request, lists: bool, answer: &mut rest::Response) {
        if let Some(form) = self.etag_form()
            && let Some((_, value)) = answer.headers.iter_mut().find(|(name, _)| *name == "etag")
        {
            let version = value.trim_start_matches("W/").trim_matches('"').to_owned();
            *value = Self::etag(form, &version);
            quirk::count(form);
        }
        if self.strikes(Kind::Html).is_some() {
            answer.headers.retain(|(name, _)| *name != "content-type");
            answer.headers.push(("content-type", "text/html".to_owned()));
            answer.body = b"<!DOCTYPE html><html><body><h1>Scheduled maintenance</h1></body></html>".to_vec();
            return;
        }
        if self.strikes(Kind::WrongBody).is_some() {
            answer.body = br#"{"resourceType":"Basic","id":"another","code":{"text":"not what was asked"}}"#.to_vec();
            return;
        }
        if self.strikes(Kind::Truncated).is_some() {
            answer.body.truncate(answer.body.len() / 2);
            return;
        }
        let reshapes = self.has(Kind::NoOffset)
            || lists
                && [Kind::OutcomeInList, Kind::ForeignNext, Kind::NoId, Kind::ChangingBytes]
                    .into_iter()
                    .any(|kind| self.has(kind));
        if !reshapes {
            return;
        }
        let Ok(mut body) = serde_json::from_slice::<Value>(&answer.body) else { return };
        if lists {
            self.spoil_list(request, &mut body);
        }
        let mut text = body.to_string();
        if lists && request.path == "Patient" && self.strikes(Kind::ChangingBytes).is_some() {
            let changes = {
                let mut inner = self.inner();
                inner.changes += 1;
                inner.changes
            };
            // A name said twice: no resource can be read from that.
            let broken = format!(
                r#"{{"resource":{{"resourceType":"Patient","id":"broken","id":"broken","language":"l{changes}"}}}}"#
            );
            text = match text.find("\"entry\":[") {
                Some(at) => {
                    let (head, tail) = text.split_at(at + "\"entry\":[".len());
                    format!("{head}{broken},{tail}")
                }
                None => format!("{},\"entry\":[{broken}]}}", text.trim_end_matches('}')),
            };
        }
        if self.strikes(Kind::NoOffset).is_some() {
            text = without_offsets(&text);
        }
        answer.body = text.into_bytes();
    }

    pub(super) fn spoil_list(&self, request: &rest::Request, bundle: &mut Value) {
        if self.strikes(Kind::OutcomeInList).is_some() {
            let outcome = json!({"search": {"mode": "outcome"}, "resource": {"resourceType": "OperationOutcome",
                "issue": [{"severity": "error", "code": "incomplete"}]}});
            push_entry(bundle, outcome);
        }
        if request.path == "Patient" && self.strikes(Kind::NoId).is_some() {
            push_entry(bundle, json!({"resource": {"resourceType": "Patient", "birthDate": "1931-01-01"}}));
        }
        let links = bundle.get_mut("link").and_then(Value::as_array_mut);
        for link in links.into_iter().flatten().filter(|link| link["relation"] == "next") {
            if let Some(vary) = self.active(Kind::ForeignNext).map(|quirk| quirk.vary) {
                quirk::count(Kind::ForeignNext);
                let url = link["url"].as_str().unwrap_or_default();
                let foreign = match vary % 3 {
                    0 => url.replace(&format!("https://{}.example", self.name), "http://localhost:8080"),
                    1 => url.replace("https://", "http://"),
                    _ => url.replace(".example", ".internal.example"),
                };
                link["url"] = json!(foreign);
            }
        }
    }
}

fn push_entry(bundle: &mut Value, entry: Value) {
    match bundle.get_mut("entry").and_then(Value::as_array_mut) {
        Some(entries) => entries.push(entry),
        None => bundle["entry"] = json!([entry]),
    }
}

/// `"lastUpdated":"2026-06-01T10:00:00.000Z"` without its `Z`.
fn without_offsets(text: &str) -> String {
    let name = "\"lastUpdated\":\"";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (head, tail) = rest.split_at(at + name.len());
        let (value, tail) = tail.split_at(tail.find('"').unwrap_or(0));
        out.push_str(head);
        out.push_str(value.trim_end_matches('Z'));
        rest = tail;
    }
    out + rest
}
