//! The rules of bundles beyond their invariants: full URLs and ids of entries, links, and what documents, messages and
//! search results must hold and lead to. <https://hl7.org/fhir/R4/bundle.html>

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{
    bundle::{Index, Strict},
    elements::is_absolute,
    place::Place,
    say::Say,
    types::TypePlan,
    walk::Walk,
};
use crate::fhir::{inner, reference::is_id, resource_type, text};

/// References of a Composition that must lead to entries of its document.
const OF_DOCUMENT: &[&[&str]] =
    &[&["subject"], &["author"], &["encounter"], &["custodian"], &["attester", "party"], &["event", "detail"]];
/// Those of its sections.
const OF_SECTION: &[&[&str]] = &[&["author"], &["focus"], &["entry"]];

impl<'a> Walk<'a> {
    /// A `Bundle`.
    pub fn bundle(&mut self, plan: &'a TypePlan, bundle: &'a Value, place: &Place<'_>) {
        let kind = text(bundle, "type").unwrap_or_default();
        self.links(kind, bundle, place);
        let Some(Value::Array(entries)) = bundle.get("entry") else {
            if matches!(kind, "document" | "message") {
                let text = format!("a {kind} must have entries");
                self.raise(place, Some(&plan.structure), Say::error("invalid", "bundle-first", text));
            }
            return;
        };
        // The outermost bundle's entries were seen when they were indexed
        let outermost = place.parent().is_none();
        if !outermost {
            for (index, entry) in entries.iter().enumerate() {
                self.entry(plan, kind, entry, &place.plain("entry", Some(index)));
            }
        }
        if (!outermost || self.index.repeats) && matches!(kind, "document" | "message" | "collection" | "searchset") {
            self.repeated_urls(plan, entries, place);
        }
        let wanted = match kind {
            "document" => "Composition",
            "message" => "MessageHeader",
            "searchset" => return self.search_set(bundle, entries, place),
            _ => return,
        };
        let first = entries.first().and_then(|entry| entry.get("resource"));
        match first {
            Some(first) if resource_type(first) == Some(wanted) => {
                // Only the outermost bundle's entries are indexed
                if place.parent().is_none() {
                    self.led_to(kind, first, place);
                    self.reachable(plan, bundle, entries, place, kind);
                }
            }
            _ => {
                let text = format!("the first entry of a {kind} must be a {wanted}");
                let at = place.plain("entry", Some(0));
                self.raise(&at, Some(&plan.structure), Say::error("invalid", "bundle-first", text));
            }
        }
    }

    /// The index of what is validated, if it is a bundle; in the same pass the rules of each entry's identity.
    pub fn indexed(&mut self, plan: &'a TypePlan, value: &'a Value, place: &Place<'_>) -> Index<'a> {
        let is_bundle = plan.structure.type_name == "Bundle";
        let kind = text(value, "type").unwrap_or_default();
        Index::gather(value, self.types, |index, entry| {
            if is_bundle {
                self.entry(plan, kind, entry, &place.plain("entry", Some(index)));
            }
        })
    }

    fn repeated_urls(&mut self, plan: &'a TypePlan, entries: &'a [Value], place: &Place<'_>) {
        let mut urls: HashMap<(&str, &str), usize> = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let Some(url) = text(entry, "fullUrl") else { continue };
            let version = inner(entry, "resource").and_then(|resource| text(inner(resource, "meta")?, "versionId"));
            if let Some(first) = urls.insert((url, version.unwrap_or_default()), index) {
                let text =
                    format!("two entries have the same fullUrl (and version); the first is entry {first} (bdl-7)");
                let at = place.plain("entry", Some(index));
                self.raise(&at.plain("fullUrl", None), Some(&plan.structure), Say::error("invalid", "bdl-7", text));
            }
        }
    }

    fn links(&mut self, kind: &str, bundle: &'a Value, place: &Place<'_>) {
        let Some(Value::Array(links)) = bundle.get("link") else { return };
        let paged = matches!(kind, "searchset" | "history" | "");
        let mut seen = HashSet::new();
        for (index, link) in links.iter().enumerate() {
            let Some(relation) = text(link, "relation") else { continue };
            let at = place.plain("link", Some(index));
            if matches!(relation, "self" | "first" | "last" | "next" | "previous" | "prev") && !seen.insert(relation) {
                let text = format!("the link relation '{relation}' can only occur once");
                self.raise(&at, None, Say::error("invalid", "bundle-link", text));
            }
            if !paged && matches!(relation, "first" | "previous" | "next" | "last") {
                let text = format!("a {kind} has no pages, so a link '{relation}' is not allowed");
                self.raise(&at.plain("relation", None), None, Say::error("invalid", "bundle-link", text));
            }
        }
    }

    /// An entry's identity: its full URL, and the id of its resource.
    fn entry(&mut self, plan: &'a TypePlan, kind: &str, entry: &'a Value, place: &Place<'_>) {
        let Some(resource) = inner(entry, "resource") else { return };
        let url = text(entry, "fullUrl");
        let id = text(resource, "id");
        let exchanged = matches!(kind, "transaction" | "transaction-response" | "batch" | "batch-response");
        let at = place.plain("fullUrl", None);
        let Some(url) = url else {
            // What a search says of itself is known by nothing
            let remark = kind == "searchset" && resource_type(resource) == Some("OperationOutcome");
            if !exchanged && !remark {
                let text = "each entry needs a fullUrl, which says what its resource is known by";
                self.raise(place, Some(&plan.structure), Say::error("required", "full-url", text));
            }
            return;
        };
        if !is_absolute(url) {
            let text = "a fullUrl must be absolute: a URL, urn:uuid: or urn:oid:";
            return self.raise(&at, Some(&plan.structure), Say::error("invalid", "full-url", text));
        }
        if url.contains("/_history/") {
            let text = "a fullUrl must not name a version (bdl-8)";
            self.raise(&at, Some(&plan.structure), Say::error("invariant", "bdl-8", text));
        }
        if !url.starts_with("http") {
            return;
        }
        let mut parts = url.rsplit('/');
        let (last, before) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let rest = is_id(last) && self.types.resource(before).is_some();
        match id {
            None if rest => {
                let text = "the fullUrl says where the resource is known, so it must have an id";
                self.raise(
                    &place.plain("resource", None),
                    Some(&plan.structure),
                    Say::error("invalid", "full-url-id", text),
                );
            }
            Some(id) if rest && (last != id || resource_type(resource) != Some(before)) => {
                let text = "the id or type at the end of the fullUrl is not that of the entry's resource";
                let say = Say::error("invalid", "full-url-id", text);
                self.raise(&at, Some(&plan.structure), say);
            }
            _ => {}
        }
    }

    /// What a search result holds is what was asked for.
    fn search_set(&mut self, bundle: &'a Value, entries: &'a [Value], place: &Place<'_>) {
        let links = bundle.get("link").and_then(Value::as_array).into_iter().flatten();
        let own = links.filter(|link| text(link, "relation") == Some("self")).find_map(|link| text(link, "url"));
        let asked = own.map(|url| self.searched_types(url)).unwrap_or_default();
        for (index, entry) in entries.iter().enumerate() {
            let at = place.plain("entry", Some(index));
            let Some(resource) = entry.get("resource") else {
                let text = "an entry of a search result must have a resource";
                self.raise(&at, None, Say::error("invalid", "search-entry", text));
                continue;
            };
            let name = resource_type(resource).unwrap_or_default();
            let at = at.plain("resource", None);
            let mode = entry.get("search").and_then(|search| text(search, "mode"));
            let text = match mode {
                Some("match" | "include") if resource.get("id").is_none() => {
                    "a found resource must have an id".to_owned()
                }
                Some("match") if !asked.is_empty() && !asked.contains(&name) && name != "OperationOutcome" => {
                    format!("a search for {} does not match {}", asked.join(", "), crate::domain::a(name))
                }
                Some("outcome") if name != "OperationOutcome" => {
                    "an entry with the mode 'outcome' must be an OperationOutcome".to_owned()
                }
                _ => continue,
            };
            self.raise(&at, None, Say::error("invalid", "search-entry", text));
        }
    }

    /// The types that a search asks for, as far as its URL says.
    fn searched_types<'u>(&self, url: &'u str) -> Vec<&'u str> {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let last = path.rsplit('/').next().unwrap_or_default();
        if self.types.resource(last).is_some() {
            return vec![last];
        }
        let listed = query.split('&').find_map(|one| one.strip_prefix("_type="));
        listed.map(|types| types.split(',').collect()).unwrap_or_default()
    }

    /// What a document's Composition or a message's header refers to is in the bundle.
    fn led_to(&mut self, kind: &str, first: &'a Value, place: &Place<'_>) {
        let entry = place.plain("entry", Some(0));
        let at = entry.plain("resource", None);
        if kind == "message" {
            return self.led(first, &["focus"], &at);
        }
        for path in OF_DOCUMENT {
            self.led(first, path, &at);
        }
        self.sections(first, &at, 0);
    }

    fn sections(&mut self, holder: &'a Value, place: &Place<'_>, depth: usize) {
        let Some(Value::Array(sections)) = holder.get("section") else { return };
        for (index, section) in sections.iter().enumerate() {
            let at = place.plain("section", Some(index));
            for path in OF_SECTION {
                self.led(section, path, &at);
            }
            if depth < 100 {
                self.sections(section, &at, depth + 1);
            }
        }
    }

    /// The references at `path` below `holder` lead to entries.
    fn led(&mut self, holder: &'a Value, path: &[&str], place: &Place<'_>) {
        let Some((name, rest)) = path.split_first() else {
            let Some(reference) = text(holder, "reference").filter(|text| !text.starts_with('#')) else { return };
            let text = match self.index.strictly(reference, Some(0)) {
                Strict::Absent if !self.types.definitions.has(reference, "") => {
                    "no entry of the bundle is what this refers to"
                }
                Strict::Apparent { why } => why.sentence(),
                _ => return,
            };
            return self.raise(place, None, Say::error("not-found", "bundle-reference", text));
        };
        match holder.get(*name) {
            Some(Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.led(item, rest, &place.plain(name, Some(index)));
                }
            }
            Some(one) => self.led(one, rest, &place.plain(name, None)),
            None => {}
        }
    }

    /// Entries of a document or message that nothing leads to.
    fn reachable(
        &mut self,
        plan: &'a TypePlan,
        bundle: &'a Value,
        entries: &'a [Value],
        place: &Place<'_>,
        kind: &str,
    ) {
        let mut links: Vec<Vec<usize>> = vec![Vec::new(); entries.len()];
        for (from, entry) in entries.iter().enumerate() {
            let mut found = Vec::new();
            pointers(entry.get("resource").unwrap_or(&Value::Null), &mut found);
            for to in found.into_iter().filter_map(|text| self.index.surely(text, Some(from))) {
                links[from].push(to);
                // A resource that points at what is reached belongs to it too (Provenance, Observation of the subject).
                links[to].push(from);
            }
        }
        let styles = bundle.get("link").and_then(Value::as_array).into_iter().flatten();
        let styles = styles.filter(|link| text(link, "relation") == Some("stylesheet"));
        let styles = styles.filter_map(|link| self.index.resolve(text(link, "url")?, None)).map(|target| target.entry);
        let mut reached = vec![false; entries.len()];
        let mut open: Vec<usize> = styles.chain([0]).collect();
        while let Some(entry) = open.pop() {
            if !std::mem::replace(&mut reached[entry], true) {
                open.extend(links[entry].iter().copied());
            }
        }
        for index in (0..entries.len()).filter(|index| !reached[*index] && entries[*index].get("resource").is_some()) {
            let text = format!("nothing leads from the first entry of this {kind} to this entry");
            let at = place.plain("entry", Some(index));
            let say = Say::error_if(kind == "document", "informational", "bundle-orphan", text);
            self.raise(&at, Some(&plan.structure), say);
        }
    }
}

/// Every text below a value that may lead to another entry: references, and URLs as in attachments.
fn pointers<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(_) if matches!(key.as_str(), "system" | "id" | "div" | "display" | "data") => {}
                    Value::String(text) if key == "reference" || text.contains(['/', ':']) => found.push(text),
                    Value::String(_) => {}
                    _ => pointers(member, found),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                match item {
                    Value::String(text) if text.contains(['/', ':']) => found.push(text),
                    _ => pointers(item, found),
                }
            }
        }
        _ => {}
    }
}
