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
    /// By full URL and version, where several entries have the same full URL.
    by_version: HashMap<(&'a str, &'a str), usize>,
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
    /// To no entry, though one has that type and id.
    Apparent {
        /// Why not.
        why: Astray,
    },
    /// To no entry.
    Absent,
    /// It is no reference to a resource by type and id.
    Foreign,
}

/// Why a relative reference does not lead to the entry that has its type and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Astray {
    /// The entry that refers has no base URL (its full URL is a urn, or there is none), so that nothing relative can be
    /// resolved from there.
    Baseless,
    /// The entry's full URL is another.
    OtherUrl,
    /// It is another version.
    OtherVersion,
}

impl Astray {
    /// In words.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Baseless => {
                "an entry has this type and id, but from an entry without a RESTful fullUrl a relative reference leads \
                 nowhere; refer to its fullUrl"
            }
            Self::OtherUrl => "an entry has this type and id, but its fullUrl is not where this reference leads",
            Self::OtherVersion => "an entry has this type and id, but not in the version that is asked for",
        }
    }
}

fn version_of(resource: &Value) -> Option<&str> {
    inner(inner(resource, "meta")?, "versionId")?.as_str()
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
                if *first != at {
                    *several = true;
                    made.repeats = true;
                    for at in [*first, at] {
                        let version = made.entries[at].resource.and_then(version_of);
                        made.by_version.entry((url, version.unwrap_or_default())).or_insert(at);
                    }
                }
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

    /// The entry with this full URL, and of several the one with this version. A version that is asked for must be the
    /// entry's own where that says one.
    fn versioned(&self, url: &str, version: Option<&str>) -> Strict {
        let Some((first, several)) = self.by_url.get(url).copied() else { return Strict::Absent };
        match version {
            None if several => Strict::Several,
            None => Strict::Entry(first),
            Some(version) if several => match self.by_version.get(&(url, version)) {
                Some(entry) => Strict::Entry(*entry),
                None => Strict::Absent,
            },
            Some(version) => {
                let own = self.entries.get(first).and_then(|entry| version_of(entry.resource?));
                if own.is_none_or(|own| own == version) { Strict::Entry(first) } else { Strict::Absent }
            }
        }
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
        match self.versioned(&absolute, version) {
            Strict::Absent => match Reference::parse(plain) {
                Reference::Literal { base: "", kind, id, .. } if self.by_type.contains_key(&(kind, id)) => {
                    Strict::Apparent { why: self.apparently(&absolute) }
                }
                _ => Strict::Absent,
            },
            found => found,
        }
    }

    fn apparently(&self, absolute: &str) -> Astray {
        if absolute.is_empty() {
            Astray::Baseless
        } else if self.by_url.contains_key(absolute) {
            Astray::OtherVersion
        } else {
            Astray::OtherUrl
        }
    }

    /// The entry that a reference surely leads to.
    pub fn surely(&self, reference: &str, from: Option<usize>) -> Option<usize> {
        match self.strictly(reference, from) {
            Strict::Entry(entry) => Some(entry),
            // What is no reference by type and id may still be somebody's full URL
            Strict::Foreign => self.resolve(reference, None).map(|target| target.entry),
            _ => None,
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
