//! The definitions at hand: the core pack and any packages upon it, found by canonical. Immutable once made (what is
//! asked for is compiled once and kept), so that it is shared between threads without further ado.

use std::{
    cell::Cell,
    collections::HashMap,
    hash::Hash,
    sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::{
    Error, SearchParameter, Structure, compile,
    pack::{Entry, Pack},
    snapshot,
    sources::{Bases, MOST_DRAWN_IN, MOST_GENERATED, Within},
    terminology::{self, CodeSystem, Membership, Rule, TerminologyServer, ValueSet, Why},
    versions,
};
use crate::{embedded, fhir::Value};

/// Code systems that HL7 publishes apart from FHIR, in versions of their own: R4 holds a copy of 2019.
const GROWS: &str = "http://terminology.hl7.org/";

pub(super) const TYPES: &str = "http://hl7.org/fhir/StructureDefinition/";

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

/// A pack and an entry of it.
pub(super) type At = (usize, usize);
type Cache<K, T> = Mutex<HashMap<K, Option<Arc<T>>>>;

/// Everything defined, by canonical. Where a canonical gives no version, the package that refers to it decides first,
/// then the packages it depends on, then loose files, then the highest version.
pub struct Definitions {
    pub(super) packs: Vec<Arc<Pack>>,
    /// Which packs each pack needs; see [`versions::needs`].
    needs: Vec<Vec<u8>>,
    by_url: HashMap<String, Vec<At>>,
    structures: Cache<At, Structure>,
    /// Elements of snapshots that were generated on the way to others.
    pub(super) generated: Mutex<HashMap<At, Arc<Vec<Value>>>>,
    value_sets: Cache<At, ValueSet>,
    code_systems: Cache<At, CodeSystem>,
    resources: Cache<At, Value>,
    pub(super) rules: OnceLock<HashMap<String, Vec<String>>>,
    /// Profiles that guides demand, by type.
    pub(super) globals: OnceLock<HashMap<String, Vec<String>>>,
    search_parameters: OnceLock<HashMap<String, Vec<Arc<SearchParameter>>>>,
    supplements: HashMap<String, Vec<At>>,
    systems_by_value_set: HashMap<String, At>,
    pub(super) constraints: Mutex<compile::Interned>,
    server: Option<Arc<TerminologyServer>>,
}

impl std::fmt::Debug for Definitions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.packs.iter().map(|pack| &pack.label)).finish()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks up, or makes without holding the lock (two threads may both make; one result is kept).
fn cached<K: Hash + Eq + Copy, T>(cache: &Cache<K, T>, key: K, make: impl FnOnce() -> Option<T>) -> Option<Arc<T>> {
    if let Some(known) = lock(cache).get(&key) {
        return known.clone();
    }
    let made = make().map(Arc::new);
    lock(cache).entry(key).or_insert(made).clone()
}

static CORE: LazyLock<Arc<Definitions>> = LazyLock::new(|| {
    let pack = embedded::find(embedded::PROFILES, "core/r4.pack").and_then(|bytes| Pack::open(bytes).ok());
    Arc::new(Definitions::of(pack.map(Arc::new).into_iter().collect()))
});

impl Definitions {
    /// FHIR R4 4.0.1 itself: the embedded core pack.
    #[must_use]
    pub fn core() -> Arc<Self> {
        Arc::clone(&CORE)
    }

    /// Core and these packs; where two define the same in the same version, the later one counts.
    ///
    /// # Errors
    /// [`Error::Pack`] if the embedded core pack cannot be read.
    pub fn with_packages(packs: impl IntoIterator<Item = Arc<Pack>>) -> Result<Arc<Self>, Error> {
        if CORE.packs.is_empty() {
            return Err(Error::Pack);
        }
        Ok(Arc::new(Self::of(CORE.packs.iter().cloned().chain(packs).collect())))
    }

    fn of(packs: Vec<Arc<Pack>>) -> Self {
        let mut by_url: HashMap<String, Vec<At>> = HashMap::with_capacity(packs.iter().map(|p| p.entries.len()).sum());
        let mut supplements: HashMap<String, Vec<At>> = HashMap::new();
        let mut systems_by_value_set = HashMap::new();
        for (layer, pack) in packs.iter().enumerate() {
            for (at, entry) in pack.entries.iter().enumerate() {
                by_url.entry(entry.url.clone()).or_default().push((layer, at));
                if !entry.supplements.is_empty() {
                    let system = versions::split(&entry.supplements).0.to_owned();
                    supplements.entry(system).or_default().push((layer, at));
                }
                if !entry.value_set.is_empty() {
                    systems_by_value_set.insert(versions::split(&entry.value_set).0.to_owned(), (layer, at));
                }
            }
        }
        let labels: Vec<&str> = packs.iter().map(|pack| pack.label.as_str()).collect();
        let dependencies: Vec<&[String]> = packs.iter().map(|pack| pack.dependencies.as_slice()).collect();
        Self {
            needs: versions::needs(&labels, &dependencies),
            packs,
            by_url,
            structures: Mutex::default(),
            generated: Mutex::default(),
            value_sets: Mutex::default(),
            code_systems: Mutex::default(),
            resources: Mutex::default(),
            rules: OnceLock::new(),
            globals: OnceLock::new(),
            search_parameters: OnceLock::new(),
            supplements,
            systems_by_value_set,
            constraints: Mutex::default(),
            server: None,
        }
    }

    /// The same definitions, with a server to ask what cannot be decided here.
    #[must_use]
    pub fn with_server(&self, server: Arc<TerminologyServer>) -> Arc<Self> {
        Arc::new(Self { server: Some(server), ..Self::of(self.packs.clone()) })
    }

    /// Whether a code belongs to a value set: decided here, else by the terminology server if there is one.
    #[must_use]
    pub fn contains(&self, set: &ValueSet, system: Option<&str>, code: &str) -> Membership {
        match (set.contains(system, code), &self.server) {
            (Membership::Unknown(_), Some(server)) if !set.url.is_empty() => {
                let version = set.version.as_ref().map_or(String::new(), |version| format!("|{version}"));
                server.contains(Some(&format!("{}{version}", set.url)), system, code)
            }
            (decided, _) => decided,
        }
    }

    pub(super) fn entry(&self, at: At) -> &Entry {
        &self.packs[at.0].entries[at.1]
    }

    pub(super) fn value(&self, at: At) -> Option<Value> {
        self.packs[at.0].value(self.entry(at))
    }

    /// Finds by `url` or `url|version`, of this resource type (of any, if empty), as the pack `from` means it.
    pub(super) fn find(&self, canonical: &str, resource_type: &str, from: Option<usize>) -> Option<At> {
        let (url, version) = versions::split(canonical);
        let fits = |at: &&At| {
            let entry = self.entry(**at);
            (resource_type.is_empty() || resource_type == entry.resource_type)
                && version.is_none_or(|version| versions::fits(&entry.version, version))
        };
        let rank = |at: &At| -> u8 {
            let need =
                from.and_then(|from| if from == at.0 { Some(3) } else { self.needs.get(from)?.get(at.0).copied() });
            let loose = u8::from(!self.packs[at.0].label.contains('#'));
            need.filter(|need| *need > 0).map_or(loose, |need| need + 1)
        };
        let candidates = self.by_url.get(url)?.iter().filter(fits).copied();
        candidates.max_by(|a, b| {
            let by_version = versions::compare(&self.entry(*a).version, &self.entry(*b).version);
            rank(a).cmp(&rank(b)).then(by_version).then(a.0.cmp(&b.0))
        })
    }

    /// How many versions of what has this URL are at hand.
    pub(super) fn versions(&self, url: &str, resource_type: &str) -> usize {
        let all = self.by_url.get(url).into_iter().flatten();
        all.filter(|at| self.entry(**at).resource_type == resource_type).count()
    }

    /// The structure with this canonical, compiled, with a snapshot.
    #[must_use]
    pub fn structure(&self, canonical: &str) -> Option<Arc<Structure>> {
        self.structure_at(self.find(canonical, "StructureDefinition", None)?)
    }

    /// The structure that `from` means by this canonical: without a version, the one of its own package comes first.
    #[must_use]
    pub fn structure_from(&self, canonical: &str, from: &Structure) -> Option<Arc<Structure>> {
        self.structure_at(self.find(canonical, "StructureDefinition", Some(from.layer))?)
    }

    pub(super) fn structure_at(&self, at: At) -> Option<Arc<Structure>> {
        cached(&self.structures, at, || self.compile(at))
    }

    fn compile(&self, at: At) -> Option<Structure> {
        let resource = self.value(at)?;
        let mut structure = compile::structure(&resource)?;
        structure.package.clone_from(&self.packs[at.0].label);
        structure.layer = at.0;
        let mut problems = Vec::new();
        let given = resource.pointer("/snapshot/element").and_then(Value::as_array).filter(|list| !list.is_empty());
        let generated = if given.is_some() {
            None
        } else {
            let left = Cell::new(MOST_GENERATED);
            let mut bases = Bases { definitions: self, layer: Some(at.0), open: vec![at], left: &left, cut: false };
            let made = snapshot::generate(&resource, &mut bases, false);
            problems = made.problems.into_iter().map(|problem| problem.text).collect();
            structure.generated = true;
            structure.is_partial = structure
                .base
                .as_deref()
                .is_some_and(|base| self.find(base, "StructureDefinition", Some(at.0)).is_none());
            Some(made.elements)
        };
        let list = given.or(generated.as_ref()).into_iter().flatten();
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

    /// The value set with this canonical, made ready for asking. `None` if it is not at hand.
    #[must_use]
    pub fn value_set(&self, canonical: &str) -> Option<Arc<ValueSet>> {
        self.value_set_within(canonical, None, &[], &Cell::new(MOST_DRAWN_IN)).ok()
    }

    /// The value set that `from` means by this canonical.
    #[must_use]
    pub fn value_set_from(&self, canonical: &str, from: &Structure) -> Option<Arc<ValueSet>> {
        self.value_set_within(canonical, Some(from.layer), &[], &Cell::new(MOST_DRAWN_IN)).ok()
    }

    pub(super) fn value_set_within(
        &self,
        canonical: &str,
        from: Option<usize>,
        open: &[String],
        left: &Cell<u32>,
    ) -> Result<Arc<ValueSet>, Why> {
        let missing = || Why::ValueSet(canonical.to_owned());
        let url = versions::split(canonical).0;
        let Some(at) = self.find(canonical, "ValueSet", from) else {
            let system = self.systems_by_value_set.get(url).and_then(|at| self.code_system_at(*at));
            return system.map(|system| Arc::new(terminology::whole_system(url, system))).ok_or_else(missing);
        };
        if open.iter().any(|open| open == url) {
            return Err(Why::Cycle(url.to_owned()));
        }
        if let Some(known) = lock(&self.value_sets).get(&at) {
            return known.clone().ok_or_else(missing);
        }
        if left.get() == 0 {
            return Err(Why::Cycle(url.to_owned()));
        }
        left.set(left.get() - 1);
        let within = Within { definitions: self, layer: Some(at.0), left };
        let made = self.value(at).map(|resource| Arc::new(terminology::compile(&resource, &within, open)));
        // Within others a circle may cut this one short; then it is made anew when it is asked for itself.
        if open.is_empty() || made.as_ref().is_none_or(|set| !set.is_cut()) {
            lock(&self.value_sets).insert(at, made.clone());
        }
        made.ok_or_else(missing)
    }

    /// Makes a ValueSet resource ready that is not among the definitions (contained in a Questionnaire).
    #[must_use]
    pub fn value_set_of(&self, resource: &Value) -> ValueSet {
        let left = Cell::new(MOST_DRAWN_IN);
        terminology::compile(resource, &Within { definitions: self, layer: None, left: &left }, &[])
    }

    /// The code system with this canonical, its supplements applied, if its content is at hand.
    #[must_use]
    pub fn code_system(&self, canonical: &str) -> Option<Arc<CodeSystem>> {
        self.code_system_at(self.find(canonical, "CodeSystem", None)?)
    }

    pub(super) fn code_system_at(&self, at: At) -> Option<Arc<CodeSystem>> {
        cached(&self.code_systems, at, || {
            let supplements = self.supplements.get(&self.entry(at).url).into_iter().flatten();
            let supplements: Vec<Value> = supplements.filter_map(|at| self.value(*at)).collect();
            let mut read = CodeSystem::read(&self.value(at)?, &supplements)?;
            read.may_have_more = at.0 == 0 && read.url.starts_with(GROWS);
            Some(read)
        })
    }

    /// Whether `code` is a code of `system` at all.
    #[must_use]
    pub fn is_code(&self, system: &str, code: &str) -> Membership {
        match (self.code_system(system), self.rule(system, code)) {
            (Some(known), _) => known.contains(code),
            (None, Some(answer @ (Membership::Yes | Membership::No))) => answer,
            (None, _) => match &self.server {
                Some(server) => server.contains(None, Some(system), code),
                None => Membership::Unknown(Why::System(system.to_owned())),
            },
        }
    }

    /// What the grammar of a system says of a code; none for systems that have none.
    #[must_use]
    pub fn rule(&self, system: &str, code: &str) -> Option<Membership> {
        Rule::of(system).map(|rule| rule.judges(code))
    }

    /// The search parameters of a resource type, those of `Resource` and `DomainResource` among them.
    #[must_use]
    pub fn search_parameters(&self, resource_type: &str) -> Vec<Arc<SearchParameter>> {
        let all = self.search_parameters.get_or_init(|| self.read_search_parameters());
        let mut found: Vec<Arc<SearchParameter>> = Vec::new();
        for base in [resource_type, "DomainResource", "Resource"] {
            for parameter in all.get(base).into_iter().flatten() {
                if !found.iter().any(|known| known.code == parameter.code) {
                    found.push(Arc::clone(parameter));
                }
            }
        }
        found
    }

    fn read_search_parameters(&self) -> HashMap<String, Vec<Arc<SearchParameter>>> {
        let mut by_base: HashMap<String, Vec<Arc<SearchParameter>>> = HashMap::new();
        // Later packs first, so that theirs is found first where a code is defined twice.
        for (layer, pack) in self.packs.iter().enumerate().rev() {
            for (at, _) in pack.entries.iter().enumerate().filter(|(_, entry)| entry.resource_type == "SearchParameter")
            {
                let Some(parameter) = self.value((layer, at)).as_ref().and_then(SearchParameter::read) else {
                    continue;
                };
                let parameter = Arc::new(parameter);
                for base in &parameter.base {
                    by_base.entry(base.clone()).or_default().push(Arc::clone(&parameter));
                }
            }
        }
        by_base
    }

    /// Any resource with this canonical, as in its package (prose of definitions left out).
    #[must_use]
    pub fn resource(&self, canonical: &str) -> Option<Arc<Value>> {
        let at = self.find(canonical, "", None)?;
        cached(&self.resources, at, || self.value(at))
    }

    /// Whether anything with this canonical is at hand, without opening it.
    #[must_use]
    pub fn has(&self, canonical: &str, resource_type: &str) -> bool {
        self.find(canonical, resource_type, None).is_some()
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

    /// The labels of the packs at hand, core first.
    pub fn packages(&self) -> impl Iterator<Item = &str> {
        self.packs.iter().map(|pack| pack.label.as_str())
    }
}
