//! The definitions at hand: the core pack and any packages upon it, found by canonical. Immutable once made (what is
//! asked for is compiled once and kept), so that it is shared between threads without further ado.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use super::{
    Error, SearchParameter, Structure, compile,
    pack::{Entry, Pack},
    terminology::{CodeSystem, ValueSet},
};
use crate::{embedded, fhir::Value};

const TYPES: &str = "http://hl7.org/fhir/StructureDefinition/";

/// Where a resource was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// `StructureDefinition`, `ValueSet`, …
    pub resource_type: String,
    /// Canonical URL.
    pub url: String,
    /// Business version; empty if none.
    pub version: String,
    /// `name#version` of its package, or a file's name.
    pub package: String,
}

/// Everything defined, by canonical.
pub struct Definitions {
    packs: Vec<Arc<Pack>>,
    /// URL → (pack, entry), later packs last.
    by_url: HashMap<String, Vec<(usize, usize)>>,
    structures: Mutex<HashMap<(usize, usize), Option<Arc<Structure>>>>,
    resources: Mutex<HashMap<(usize, usize), Option<Arc<Value>>>>,
    constraints: Mutex<compile::Interned>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

static CORE: LazyLock<Arc<Definitions>> = LazyLock::new(|| {
    let packs = embedded::find(embedded::PROFILES, "core/r4.pack").and_then(|bytes| Pack::open(bytes).ok());
    Arc::new(Definitions::of(packs.map(Arc::new).into_iter().collect()))
});

impl Definitions {
    /// FHIR R4 4.0.1 itself: the embedded core pack.
    #[must_use]
    pub fn core() -> Arc<Self> {
        Arc::clone(&CORE)
    }

    /// Core and these packs, in rising order of preference where two define the same in the same version.
    ///
    /// # Errors
    /// None yet; packages may refuse.
    pub fn with_packages(packs: impl IntoIterator<Item = Arc<Pack>>) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self::of(CORE.packs.iter().cloned().chain(packs).collect())))
    }

    fn of(packs: Vec<Arc<Pack>>) -> Self {
        let mut by_url: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
        for (layer, pack) in packs.iter().enumerate() {
            for (at, entry) in pack.entries.iter().enumerate() {
                by_url.entry(entry.url.clone()).or_default().push((layer, at));
            }
        }
        Self { packs, by_url, structures: Mutex::default(), resources: Mutex::default(), constraints: Mutex::default() }
    }

    fn entry(&self, at: (usize, usize)) -> &Entry {
        &self.packs[at.0].entries[at.1]
    }

    /// Finds by `url` or `url|version`, of these resource types (any, if none is given).
    fn find(&self, canonical: &str, types: &[&str]) -> Option<(usize, usize)> {
        let (url, version) = canonical.split_once('|').map_or((canonical, None), |(url, version)| (url, Some(version)));
        let url = url.split_once('#').map_or(url, |(url, _)| url);
        let fits = |at: &&(usize, usize)| {
            let entry = self.entry(**at);
            (types.is_empty() || types.contains(&entry.resource_type.as_str()))
                && version.is_none_or(|version| entry.version == version)
        };
        self.by_url.get(url)?.iter().filter(fits).next_back().copied()
    }

    /// The structure with this canonical, compiled, with a snapshot.
    #[must_use]
    pub fn structure(&self, canonical: &str) -> Option<Arc<Structure>> {
        let at = self.find(canonical, &["StructureDefinition"])?;
        if let Some(known) = lock(&self.structures).get(&at) {
            return known.clone();
        }
        let made = self.compile(at).map(Arc::new);
        lock(&self.structures).entry(at).or_insert(made).clone()
    }

    fn compile(&self, at: (usize, usize)) -> Option<Structure> {
        let resource = self.packs[at.0].value(self.entry(at))?;
        let mut structure = compile::structure(&resource)?;
        structure.package.clone_from(&self.packs[at.0].label);
        let list = compile::items(resource.get("snapshot").unwrap_or(&Value::Null), "element");
        let mut problems = Vec::new();
        structure.elements = compile::elements(list, &mut lock(&self.constraints), &mut problems);
        structure.problems = problems;
        structure.index();
        Some(structure)
    }

    /// The structure of a FHIR type by its name: `Patient`, `HumanName`, `string`.
    #[must_use]
    pub fn base_type(&self, name: &str) -> Option<Arc<Structure>> {
        if name.contains('/') { self.structure(name) } else { self.structure(&format!("{TYPES}{name}")) }
    }

    /// The value set with this canonical, made ready for asking.
    #[must_use]
    pub fn value_set(&self, canonical: &str) -> Option<Arc<ValueSet>> {
        let found = self.find(canonical, &["ValueSet"])?;
        let entry = self.entry(found);
        Some(Arc::new(ValueSet { url: entry.url.clone(), version: None, name: String::new() }))
    }

    /// The code system with this canonical, if it is at hand.
    #[must_use]
    pub fn code_system(&self, canonical: &str) -> Option<Arc<CodeSystem>> {
        self.find(canonical, &["CodeSystem"]).map(|_| Arc::new(CodeSystem::default()))
    }

    /// The search parameters of a resource type, those of `Resource` and `DomainResource` among them.
    #[must_use]
    pub fn search_parameters(&self, resource_type: &str) -> Vec<Arc<SearchParameter>> {
        let _ = resource_type;
        Vec::new()
    }

    /// Any resource with this canonical, as in its package (prose left out where the package is prepared).
    #[must_use]
    pub fn resource(&self, canonical: &str) -> Option<Arc<Value>> {
        let at = self.find(canonical, &[])?;
        if let Some(known) = lock(&self.resources).get(&at) {
            return known.clone();
        }
        let made = self.packs[at.0].value(self.entry(at)).map(Arc::new);
        lock(&self.resources).entry(at).or_insert(made).clone()
    }

    /// All resources of a type (`StructureDefinition`, `Questionnaire`, …), without opening them.
    pub fn list<'a>(&'a self, resource_type: &'a str) -> impl Iterator<Item = Found> + 'a {
        self.packs.iter().flat_map(move |pack| {
            let of_type = pack.entries.iter().filter(move |entry| entry.resource_type == resource_type);
            of_type.map(|entry| Found {
                resource_type: entry.resource_type.clone(),
                url: entry.url.clone(),
                version: entry.version.clone(),
                package: pack.label.clone(),
            })
        })
    }
}
