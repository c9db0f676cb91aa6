//! Bundles: an index of entries (built once, so that references resolve in constant time), and the rules for full URLs,
//! documents, messages and links. <https://hl7.org/fhir/R4/bundle.html>

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{elements::is_absolute, place::Place, say::Say, types::TypePlan, walk::Walk};
use crate::fhir::{Reference, reference::is_id, resource_type};

/// Entries of the outermost bundle by identity.
#[derive(Debug, Default)]
pub struct Index<'a> {
    /// Full URL and resource of each entry.
    pub entries: Vec<(Option<&'a str>, Option<&'a Value>)>,
    /// `Bundle.type`; empty for other resources.
    pub kind: &'a str,
    by_url: HashMap<&'a str, usize>,
    by_type: HashMap<(&'a str, &'a str), usize>,
}

/// What a reference leads to within a bundle.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Entry.
    pub entry: usize,
    /// Its resource.
    pub resource: &'a Value,
}

impl<'a> Index<'a> {
    /// The index of a bundle; empty for other resources.
    pub fn of(root: &'a Value) -> Self {
        let mut made = Self::default();
        let name = match resource_type(root) {
            Some("Bundle") => "entry",
            // Resources handed over together may refer to each other.
            Some("Parameters") => "parameter",
            _ => return made,
        };
        let Some(Value::Array(entries)) = root.get(name) else { return made };
        made.kind = root.get("type").and_then(Value::as_str).unwrap_or_default();
        for (at, entry) in entries.iter().enumerate() {
            let url = entry.get("fullUrl").and_then(Value::as_str);
            let resource = entry.get("resource");
            made.entries.push((url, resource));
            if let Some(url) = url {
                made.by_url.entry(url).or_insert(at);
            }
            let id = resource.and_then(|resource| Some((resource_type(resource)?, resource.get("id")?.as_str()?)));
            if let Some(key) = id {
                made.by_type.entry(key).or_insert(at);
            }
        }
        made
    }

    fn target(&self, entry: usize) -> Option<Target<'a>> {
        Some(Target { entry, resource: self.entries.get(entry)?.1? })
    }

    /// The entry that a literal reference leads to, as seen from entry `from`.
    pub fn resolve(&self, reference: &str, from: Option<usize>) -> Option<Target<'a>> {
        if self.entries.is_empty() {
            return None;
        }
        let plain = reference.split_once("/_history/").map_or(reference, |(plain, _)| plain);
        let plain = plain.split_once('#').map_or(plain, |(plain, _)| plain);
        if let Some(entry) = self.by_url.get(plain) {
            return self.target(*entry);
        }
        let Reference::Literal { base, kind, id, .. } = Reference::parse(plain) else { return None };
        if !base.is_empty() {
            return None;
        }
        let own = from.and_then(|from| self.entries.get(from)?.0);
        if let Some(Reference::Literal { base, .. }) = own.map(Reference::parse)
            && !base.is_empty()
            && let Some(entry) = self.by_url.get(format!("{base}/{kind}/{id}").as_str())
        {
            return self.target(*entry);
        }
        self.target(*self.by_type.get(&(kind, id))?)
    }
}

impl<'a> Walk<'a> {
    /// The rules of bundles beyond their invariants.
    pub fn bundle(&mut self, plan: &'a TypePlan, bundle: &'a Value, place: &Place<'_>) {
        let kind = bundle.get("type").and_then(Value::as_str).unwrap_or_default();
        self.links(bundle, place);
        let Some(Value::Array(entries)) = bundle.get("entry") else { return };
        let mut urls: HashMap<(&str, &str), usize> = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let at = place.plain("entry", Some(index));
            let url = entry.get("fullUrl").and_then(Value::as_str);
            let resource = entry.get("resource");
            match url {
                Some(url) => self.full_url(plan, url, resource, &at),
                None if resource.is_some() && matches!(kind, "document" | "message" | "collection") => {
                    let text = "each entry needs a fullUrl, which says what its resource is known by";
                    self.raise(&at, Some(&plan.structure), Say::error("required", "full-url", text));
                }
                None => {}
            }
            if let Some(url) = url
                && matches!(kind, "document" | "message" | "collection" | "searchset")
            {
                let version = resource.and_then(|resource| resource.get("meta")?.get("versionId")?.as_str());
                if let Some(first) = urls.insert((url, version.unwrap_or_default()), index) {
                    let text =
                        format!("two entries have the same fullUrl (and version); the first is entry {first} (bdl-7)");
                    self.raise(&at.plain("fullUrl", None), Some(&plan.structure), Say::error("invalid", "bdl-7", text));
                }
            }
        }
        let first = entries.first().and_then(|entry| entry.get("resource")).and_then(resource_type);
        let wanted = match kind {
            "document" => "Composition",
            "message" => "MessageHeader",
            _ => return,
        };
        if first != Some(wanted) {
            let text = format!("the first entry of a {kind} must be a {wanted}");
            self.raise(
                &place.plain("entry", Some(0)),
                Some(&plan.structure),
                Say::error("invalid", "bundle-first", text),
            );
        } else {
            self.reachable(plan, entries, place, kind);
        }
    }

    fn links(&mut self, bundle: &'a Value, place: &Place<'_>) {
        let Some(Value::Array(links)) = bundle.get("link") else { return };
        let mut seen = HashSet::new();
        for (index, link) in links.iter().enumerate() {
            let Some(relation) = link.get("relation").and_then(Value::as_str) else { continue };
            if matches!(relation, "self" | "first" | "last" | "next" | "previous" | "prev") && !seen.insert(relation) {
                let text = format!("the link relation '{relation}' can only occur once");
                self.raise(&place.plain("link", Some(index)), None, Say::error("invalid", "bundle-link", text));
            }
        }
    }

    fn full_url(&mut self, plan: &'a TypePlan, url: &str, resource: Option<&'a Value>, entry: &Place<'_>) {
        let at = entry.plain("fullUrl", None);
        if !is_absolute(url) {
            let text = "a fullUrl must be absolute: a URL, urn:uuid: or urn:oid:";
            return self.raise(&at, Some(&plan.structure), Say::error("invalid", "full-url", text));
        }
        if url.contains("/_history/") {
            let text = "a fullUrl must not name a version (bdl-8)";
            self.raise(&at, Some(&plan.structure), Say::error("invariant", "bdl-8", text));
        }
        let Some((id, kind)) = resource.and_then(|it| Some((it.get("id")?.as_str()?, resource_type(it)?))) else {
            return;
        };
        if !url.starts_with("http") {
            return;
        }
        let mut parts = url.rsplit('/');
        let (last, before) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let rest = is_id(last) && self.types.resource(before).is_some();
        if rest && (last != id || before != kind) {
            let text = "the id or type at the end of the fullUrl is not that of the entry's resource";
            // A warning, since HL7's own messages and US Core's bundles have such, although FHIR's text says SHALL.
            self.raise(&at, Some(&plan.structure), Say::warning("invalid", "full-url-id", text));
        }
    }

    /// Entries of a document or message that nothing leads to.
    fn reachable(&mut self, plan: &'a TypePlan, entries: &'a [Value], place: &Place<'_>, kind: &str) {
        if place.parent().is_some() || self.index.entries.len() != entries.len() {
            return;
        }
        let mut links: Vec<Vec<usize>> = vec![Vec::new(); entries.len()];
        for (from, entry) in entries.iter().enumerate() {
            let mut found = Vec::new();
            references(entry.get("resource").unwrap_or(&Value::Null), &mut found);
            for to in found.into_iter().filter_map(|text| self.index.resolve(text, Some(from))) {
                links[from].push(to.entry);
                // A resource that points at what is reached belongs to it too (Provenance, Observation of the subject).
                links[to.entry].push(from);
            }
        }
        let mut reached = vec![false; entries.len()];
        let mut open = vec![0];
        while let Some(entry) = open.pop() {
            if !std::mem::replace(&mut reached[entry], true) {
                open.extend(links[entry].iter().copied());
            }
        }
        for index in (0..entries.len()).filter(|index| !reached[*index]) {
            let text = format!("nothing leads from the first entry of this {kind} to this entry");
            self.raise(
                &place.plain("entry", Some(index)),
                Some(&plan.structure),
                Say::warning("informational", "bundle-orphan", text),
            );
        }
    }
}

/// Every `reference` text below a value.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(text) if key == "reference" => found.push(text),
                    _ => references(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}
