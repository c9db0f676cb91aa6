//! The entries of the outermost bundle by identity, indexed once, so that references resolve in constant time. The rules
//! of bundles: `bundle_rules`. <https://hl7.org/fhir/R4/bundle.html#references>

use std::collections::HashMap;

use serde_json::Value;

use crate::fhir::{Reference, resource_type};

/// Entries of the outermost bundle by identity.
#[derive(Debug, Default)]
pub struct Index<'a> {
    /// Full URL and resource of each entry.
    pub entries: Vec<(Option<&'a str>, Option<&'a Value>)>,
    /// `Bundle.type`; empty for other resources.
    pub kind: &'a str,
    /// First entry with a full URL, and whether there are several.
    by_url: HashMap<&'a str, (usize, bool)>,
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

/// Where a reference leads by the rules alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strict {
    /// To this entry.
    Entry(usize),
    /// To several entries with the same full URL.
    Several,
    /// To no entry, though one has that type and id under another full URL.
    Apparent {
        /// The entry that refers has a base URL, so that the reference surely means another resource.
        based: bool,
    },
    /// To no entry.
    Absent,
    /// It is no reference to a resource by type and id.
    Foreign,
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
                made.by_url.entry(url).and_modify(|(_, several)| *several = true).or_insert((at, false));
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

    /// What the rules of FHIR make of a reference in entry `from`, without guessing: the absolute URL must be a full URL.
    pub fn strictly(&self, reference: &str, from: Option<usize>) -> Strict {
        let reference = reference.split_once('#').map_or(reference, |(plain, _)| plain);
        let (plain, version) = match reference.split_once("/_history/") {
            Some((plain, version)) => (plain, Some(version)),
            None => (reference, None),
        };
        let absolute = match Reference::parse(plain) {
            Reference::Literal { base: "", kind, id, .. } => {
                let own = from.and_then(|from| self.entries.get(from)?.0);
                match own.map(Reference::parse) {
                    Some(Reference::Literal { base, .. }) if !base.is_empty() => format!("{base}/{kind}/{id}"),
                    _ => String::new(),
                }
            }
            Reference::Literal { .. } | Reference::Urn(_) => plain.to_owned(),
            Reference::Contained(_) | Reference::Other(_) => return Strict::Foreign,
        };
        match self.by_url.get(absolute.as_str()) {
            Some((_, true)) if version.is_none() => Strict::Several,
            Some((entry, _)) => Strict::Entry(*entry),
            None => match Reference::parse(plain) {
                Reference::Literal { base: "", kind, id, .. } if self.by_type.contains_key(&(kind, id)) => {
                    Strict::Apparent { based: !absolute.is_empty() }
                }
                _ => Strict::Absent,
            },
        }
    }

    /// The entry that a literal reference leads to, as seen from entry `from`.
    pub fn resolve(&self, reference: &str, from: Option<usize>) -> Option<Target<'a>> {
        if self.entries.is_empty() {
            return None;
        }
        let plain = reference.split_once("/_history/").map_or(reference, |(plain, _)| plain);
        let plain = plain.split_once('#').map_or(plain, |(plain, _)| plain);
        if let Some((entry, _)) = self.by_url.get(plain) {
            return self.target(*entry);
        }
        let Reference::Literal { base, kind, id, .. } = Reference::parse(plain) else { return None };
        if !base.is_empty() {
            return None;
        }
        let own = from.and_then(|from| self.entries.get(from)?.0);
        if let Some(Reference::Literal { base, .. }) = own.map(Reference::parse)
            && !base.is_empty()
            && let Some((entry, _)) = self.by_url.get(format!("{base}/{kind}/{id}").as_str())
        {
            return self.target(*entry);
        }
        self.target(*self.by_type.get(&(kind, id))?)
    }
}
