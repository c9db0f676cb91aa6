//! The entries of the outermost bundle by identity, indexed once, so that references resolve in constant time. The rules
//! of bundles: `bundle_rules`. <https://hl7.org/fhir/R4/bundle.html#references>

use std::collections::HashMap;

use serde_json::Value;

use super::types::Types;
use crate::fhir::{Reference, inner, resource_type};

/// What is looked up of an entry; gathered once, since entries lie far apart in memory.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Full URL.
    pub url: Option<&'a str>,
    /// Its resource.
    pub resource: Option<&'a Value>,
    /// The resource's type.
    pub kind: Option<&'a str>,
}

/// Entries of the outermost bundle by identity.
#[derive(Debug, Default)]
pub struct Index<'a> {
    /// In their order.
    pub entries: Vec<Entry<'a>>,
    /// Some full URL stands more than once.
    pub repeats: bool,
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
    /// The resource's type.
    pub kind: Option<&'a str>,
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
    /// The index of a bundle; empty for other resources. `each` sees every entry in the same pass, because a second visit
    /// of ten thousand costs as much as the first.
    pub fn gather(root: &'a Value, types: &'a Types, mut each: impl FnMut(usize, &'a Value)) -> Self {
        let mut made = Self::default();
        let name = match resource_type(root) {
            Some("Bundle") => "entry",
            // Resources handed over together may refer to each other.
            Some("Parameters") => "parameter",
            _ => return made,
        };
        let Some(Value::Array(entries)) = inner(root, name) else { return made };
        made.kind = inner(root, "type").and_then(Value::as_str).unwrap_or_default();
        made.entries.reserve(entries.len());
        made.by_url.reserve(entries.len());
        made.by_type.reserve(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            let url = inner(entry, "fullUrl").and_then(Value::as_str);
            let resource = inner(entry, "resource");
            // The types' own text of the name is near when the resource's is far away.
            let kind = resource.and_then(resource_type).map(|name| types.known(name).unwrap_or(name));
            made.entries.push(Entry { url, resource, kind });
            if let Some(url) = url {
                let (first, several) = made.by_url.entry(url).or_insert((at, false));
                *several |= *first != at;
                made.repeats |= *several;
            }
            let id = resource.and_then(|resource| inner(resource, "id")?.as_str());
            if let Some(key) = kind.zip(id) {
                made.by_type.entry(key).or_insert(at);
            }
            each(at, entry);
        }
        made
    }

    fn target(&self, entry: usize) -> Option<Target<'a>> {
        let found = self.entries.get(entry)?;
        Some(Target { entry, resource: found.resource?, kind: found.kind })
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
                let own = from.and_then(|from| self.entries.get(from)?.url);
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
        let own = from.and_then(|from| self.entries.get(from)?.url);
        if let Some(Reference::Literal { base, .. }) = own.map(Reference::parse)
            && !base.is_empty()
            && let Some((entry, _)) = self.by_url.get(format!("{base}/{kind}/{id}").as_str())
        {
            return self.target(*entry);
        }
        self.target(*self.by_type.get(&(kind, id))?)
    }
}
