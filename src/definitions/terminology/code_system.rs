//! A code system that is at hand: codes, displays, hierarchy, properties, supplements. A code system without content
//! is not at hand; of a fragment it is known that there is more. <https://hl7.org/fhir/R4/codesystem.html>

use std::collections::{HashMap, HashSet};

use super::{Membership, Why};
use crate::{
    definitions::compile::{flag, items, text},
    fhir::Value,
};

/// One concept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concept {
    /// Its code, as defined.
    pub code: String,
    /// What it is called.
    pub display: Option<String>,
    /// Other names that are as good (designations).
    pub designations: Vec<Designation>,
    /// For grouping only: not to be used in instances (`notSelectable`).
    pub is_abstract: bool,
    /// Retired or inactive.
    pub is_inactive: bool,
    /// Indexes of the concepts directly above.
    pub parents: Vec<usize>,
    /// Properties as text.
    pub properties: Vec<(String, String)>,
}

/// One more name of a concept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Designation {
    /// Of which language (BCP 47); none: of any.
    pub language: Option<String>,
    /// The name.
    pub value: String,
}

impl Concept {
    /// Whether this is one of its names; case and white space are not looked at. A concept without names has any.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.is_called_in(name, None)
    }

    /// The same, by the names of one language (BCP 47) where such are known: `de` takes `de-CH` and back. Its display
    /// and names of no language are of any.
    #[must_use]
    pub fn is_called_in(&self, name: &str, language: Option<&str>) -> bool {
        let name = folded(name);
        let primary = |tag: &str| tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        let speaks = |own: &Option<String>| match (own, language) {
            (Some(own), Some(wanted)) => primary(own) == primary(wanted),
            _ => true,
        };
        let others = self.designations.iter().filter(|other| speaks(&other.language)).map(|other| &other.value);
        let mut names = self.display.iter().chain(others).peekable();
        names.peek().is_none() || names.any(|known| folded(known) == name)
    }
}

fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// A code system that is at hand.
#[derive(Clone, Debug, Default)]
pub struct CodeSystem {
    /// Canonical URL (`Coding.system`).
    pub url: String,
    /// Business version.
    pub version: Option<String>,
    /// Whether all its codes are here; if not, a code that is not found may still exist.
    pub is_complete: bool,
    /// Whether newer versions, which are not at hand, may have further codes.
    pub may_have_more: bool,
    /// Whether upper and lower case make different codes. Where the definition does not say, they do not.
    pub is_case_sensitive: bool,
    /// All concepts, parents before children.
    pub concepts: Vec<Concept>,
    /// Names of the properties that are declared or used.
    pub properties: HashSet<String>,
    by_code: HashMap<String, usize>,
}

impl CodeSystem {
    /// Reads a CodeSystem and adds what its supplements say. `None` if it has no content here.
    #[must_use]
    pub fn read(resource: &Value, supplements: &[Value]) -> Option<Self> {
        let content = resource.get("content").and_then(Value::as_str).unwrap_or("complete");
        // What supplements another is no code system of its own, whatever its content says.
        if matches!(content, "not-present" | "supplement") || resource.get("supplements").is_some() {
            return None;
        }
        let mut system = Self {
            url: text(resource, "url")?,
            version: text(resource, "version"),
            is_complete: content == "complete",
            is_case_sensitive: flag(resource, "caseSensitive"),
            properties: items(resource, "property").filter_map(|property| text(property, "code")).collect(),
            ..Self::default()
        };
        system.add(resource, None);
        system.link();
        for supplement in supplements {
            system.supplement(supplement);
        }
        Some(system)
    }

    fn key(&self, code: &str) -> String {
        if self.is_case_sensitive { code.to_owned() } else { code.to_lowercase() }
    }

    fn add(&mut self, level: &Value, parent: Option<usize>) {
        for item in items(level, "concept") {
            let Some(code) = text(item, "code") else { continue };
            let mut concept = Concept { display: text(item, "display"), code, ..Concept::default() };
            concept.parents.extend(parent);
            self.read_rest(&mut concept, item);
            let (key, at) = (self.key(&concept.code), self.concepts.len());
            self.concepts.push(concept);
            self.by_code.entry(key).or_insert(at);
            self.add(item, Some(at));
        }
    }

    fn read_rest(&mut self, concept: &mut Concept, item: &Value) {
        concept.designations.extend(items(item, "designation").filter_map(|designation| {
            Some(Designation { language: text(designation, "language"), value: text(designation, "value")? })
        }));
        for property in items(item, "property") {
            let Some(name) = text(property, "code") else { continue };
            let value = property.as_object().into_iter().flatten().find(|(name, _)| name.starts_with("value"));
            let value = match value {
                Some((_, Value::String(text))) => text.clone(),
                Some((_, Value::Object(coding))) => {
                    coding.get("code").and_then(Value::as_str).unwrap_or_default().to_owned()
                }
                Some((_, other)) => other.to_string(),
                None => continue,
            };
            match name.as_str() {
                "notSelectable" | "abstract" => concept.is_abstract |= value == "true",
                "inactive" => concept.is_inactive |= value == "true",
                "status" => concept.is_inactive |= matches!(value.as_str(), "retired" | "inactive"),
                _ => {}
            }
            if !self.properties.contains(&name) {
                self.properties.insert(name.clone());
            }
            concept.properties.push((name, value));
        }
    }

    /// Hierarchy that is told by properties (`parent`, `subsumedBy`, `child`).
    fn link(&mut self) {
        let mut links = Vec::new();
        for (at, concept) in self.concepts.iter().enumerate() {
            for (name, value) in &concept.properties {
                let Some(other) = self.by_code.get(&self.key(value)) else { continue };
                match name.as_str() {
                    "parent" | "subsumedBy" => links.push((at, *other)),
                    "child" => links.push((*other, at)),
                    _ => {}
                }
            }
        }
        for (child, parent) in links {
            if !self.concepts[child].parents.contains(&parent) {
                self.concepts[child].parents.push(parent);
            }
        }
    }

    fn supplement(&mut self, level: &Value) {
        for item in items(level, "concept") {
            let at = text(item, "code").and_then(|code| self.by_code.get(&self.key(&code)).copied());
            if let Some(at) = at {
                let mut concept = std::mem::take(&mut self.concepts[at]);
                // A name of the supplement is one more name.
                concept.designations.extend(text(item, "display").map(|value| Designation { language: None, value }));
                self.read_rest(&mut concept, item);
                self.concepts[at] = concept;
            }
            self.supplement(item);
        }
    }

    /// Index of the concept with this code.
    #[must_use]
    pub fn index_of(&self, code: &str) -> Option<usize> {
        if self.is_case_sensitive { self.by_code.get(code) } else { self.by_code.get(&code.to_lowercase()) }.copied()
    }

    /// The concept with this code.
    #[must_use]
    pub fn concept(&self, code: &str) -> Option<&Concept> {
        self.concepts.get(self.index_of(code)?)
    }

    /// Whether this is one of its codes.
    #[must_use]
    pub fn contains(&self, code: &str) -> Membership {
        match self.index_of(code) {
            Some(_) => Membership::Yes,
            None if self.is_complete => Membership::No,
            None => Membership::Unknown(Why::System(self.url.clone())),
        }
    }

    /// For every concept, whether it is `top` or below it. Cycles in the hierarchy do no harm.
    #[must_use]
    pub fn below(&self, top: usize) -> Vec<bool> {
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); self.concepts.len()];
        for (at, concept) in self.concepts.iter().enumerate() {
            for parent in &concept.parents {
                children[*parent].push(at);
            }
        }
        walk(top, self.concepts.len(), |at| children[at].as_slice())
    }

    /// For every concept, whether it is `bottom` or above it.
    #[must_use]
    pub fn above(&self, bottom: usize) -> Vec<bool> {
        walk(bottom, self.concepts.len(), |at| self.concepts[at].parents.as_slice())
    }
}

fn walk<'a>(from: usize, count: usize, next: impl Fn(usize) -> &'a [usize]) -> Vec<bool> {
    let mut reached = vec![false; count];
    let mut left = vec![from];
    while let Some(at) = left.pop() {
        if !std::mem::replace(&mut reached[at], true) {
            left.extend_from_slice(next(at));
        }
    }
    reached
}
