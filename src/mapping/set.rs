//! All mappings at one moment: an immutable set, shared as `Arc`. A reload makes a new set; who holds the old one
//! goes on with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, OnceLock},
};

use super::{
    MappingError,
    between::Between,
    check::{self, Schema},
    engine::Plan,
    examples::{Example, Refusal},
    load::{self, Answers, Files},
    plan::{Condition, Name},
    standing::StandingRules,
};
use crate::{
    definitions::Definitions,
    error::Finding,
    fhir::{Value, resource_type},
};

/// An object type with its plans by dialect.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) object: Arc<ObjectType>,
    pub(crate) plans: BTreeMap<Name, Arc<Plan>>,
}

/// Objects and their plans, at one moment.
#[derive(Debug, Default)]
pub struct Mappings {
    objects: BTreeMap<Name, Arc<ObjectType>>,
    plans: BTreeMap<(Name, Name), Arc<Plan>>,
    /// FHIR type → objects, those with a `when` first.
    by_type: BTreeMap<Name, Vec<Arc<ObjectType>>>,
    dialects: Vec<Name>,
    /// Dialect → the one whose overlays hold where it has none.
    extends: BTreeMap<Name, Name>,
    /// Dialect → words by which such EHRs name their software.
    software: Vec<(Name, Vec<String>)>,
    /// Dialect → what its error numbers mean.
    answers: BTreeMap<String, Answers>,
}

impl Mappings {
    /// The mappings that are built into the binary; proven when the binary was made.
    ///
    /// # Errors
    /// [`MappingError::Mistakes`], which a test rules out for a released binary.
    pub fn embedded() -> Result<Arc<Self>, MappingError> {
        static EMBEDDED: OnceLock<Result<Arc<Mappings>, Vec<super::Mistake>>> = OnceLock::new();
        let made = EMBEDDED.get_or_init(|| match Self::of(&Files::embedded(), &Definitions::core()) {
            Ok(mappings) => Ok(mappings),
            Err(MappingError::Mistakes(mistakes)) => Err(mistakes),
            Err(other) => {
                let what = other.to_string();
                Err(vec![super::Mistake { file: String::new(), line: 1, column: 1, what, hint: String::new() }])
            }
        });
        made.clone().map_err(MappingError::Mistakes)
    }

    /// Reads a folder like `mappings/`; what it lacks is taken from the embedded ones. Does not prove the laws
    /// (`laws` does).
    ///
    /// # Errors
    /// [`MappingError::Unreadable`], [`MappingError::Mistakes`].
    pub fn load(dir: &Path) -> Result<Arc<Self>, MappingError> {
        Self::of(&Files::over_embedded(dir)?, &Definitions::core())
    }

    /// Reads a folder as [`Self::load`] does, and lets it pass only if `laws` does.
    ///
    /// # Errors
    /// As [`Self::load`], and those of `laws`.
    pub fn lawful(dir: &Path, laws: &dyn Fn(&Self) -> Result<(), MappingError>) -> Result<Arc<Self>, MappingError> {
        let candidate = Self::load(dir)?;
        laws(&candidate)?;
        Ok(candidate)
    }

    /// Compiles files.
    ///
    /// # Errors
    /// [`MappingError::Mistakes`]: all of them.
    pub fn of(files: &Files, definitions: &Arc<Definitions>) -> Result<Arc<Self>, MappingError> {
        Self::made(files, definitions, false)
    }

    /// Reads a folder as [`Self::load`] does, where examples may still lack their other side: for its authors' tools,
    /// never for use.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn draft(dir: &Path) -> Result<Arc<Self>, MappingError> {
        Self::made(&Files::over_embedded(dir)?, &Definitions::core(), true)
    }

    fn made(files: &Files, definitions: &Arc<Definitions>, drafts: bool) -> Result<Arc<Self>, MappingError> {
        let load::All { loaded, dialects: known, answers } =
            load::all(files, definitions, drafts).map_err(MappingError::Mistakes)?;
        let mut mappings = Self { answers, ..Self::default() };
        let mut dialects: BTreeSet<Name> = known.keys().map(|name| Name::from(name.as_str())).collect();
        mappings.software =
            known.iter().map(|(name, dialect)| (Name::from(name.as_str()), dialect.software.clone())).collect();
        mappings.extends =
            known.into_iter().filter_map(|(name, dialect)| Some((name.into(), dialect.extends?.into()))).collect();
        for Loaded { object, plans } in loaded {
            let name = Arc::clone(&object.name);
            for (dialect, plan) in plans {
                dialects.insert(Arc::clone(&dialect));
                mappings.plans.insert((Arc::clone(&name), dialect), plan);
            }
            let same_type = mappings.by_type.entry(Arc::clone(&object.resource)).or_default();
            let at = if object.when.is_some() { 0 } else { same_type.len() };
            same_type.insert(at, Arc::clone(&object));
            mappings.objects.insert(name, object);
        }
        mappings.dialects = dialects.into_iter().collect();
        Ok(Arc::new(mappings))
    }

    /// All object types, by name.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<ObjectType>> {
        self.objects.values()
    }

    /// An object type by its name, for instance `clinic-session`.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<&Arc<ObjectType>> {
        self.objects.get(name)
    }

    /// An object type by its plural, as in the routes.
    #[must_use]
    pub fn by_plural(&self, plural: &str) -> Option<&Arc<ObjectType>> {
        self.objects.values().find(|object| object.plural() == plural)
    }

    /// The object type that a resource from a system is taken for: its resource type, and `when:` where two share it.
    #[must_use]
    pub fn object_for(&self, resource: &Value) -> Option<&Arc<ObjectType>> {
        let candidates = self.by_type.get(resource_type(resource)?)?;
        candidates.iter().find(|object| object.when.as_ref().is_none_or(|when| when.holds(resource)))
    }

    /// Names of all dialects: those of `dialects.yaml` and of overlays.
    #[must_use]
    pub fn dialects(&self) -> &[Arc<str>] {
        &self.dialects
    }

    /// The dialect of EHRs whose software is named so.
    #[must_use]
    pub fn dialect_of(&self, software: &str) -> Option<&str> {
        let named = software.to_lowercase();
        let says = |words: &[String]| words.iter().any(|word| named.contains(word.as_str()));
        self.software.iter().find(|(_, words)| says(words)).map(|(name, _)| &**name)
    }

    /// The plan of an object for a dialect; where the object has no overlay for it, that of the dialect it extends, and
    /// at last the base plan.
    #[must_use]
    pub fn plan(&self, object: &str, dialect: &str) -> Option<Arc<Plan>> {
        let key = |dialect: &str| (Name::from(object), Name::from(dialect));
        let mut dialect = dialect;
        loop {
            if let Some(plan) = self.plans.get(&key(dialect)) {
                return Some(Arc::clone(plan));
            }
            dialect = match self.extends.get(dialect) {
                Some(base) => base,
                None if dialect == "generic" => return None,
                None => "generic",
            };
        }
    }

    /// What the error numbers of a dialect's EHRs mean, those of the dialects that it extends included.
    #[must_use]
    pub fn answers(&self, dialect: &str) -> Answers {
        let mut all = self.answers.get(dialect).cloned().unwrap_or_default();
        let mut next = self.extends.get(dialect);
        while let Some(base) = next {
            for (number, meaning) in self.answers.get(&**base).into_iter().flatten() {
                all.entry(number.clone()).or_insert(*meaning);
            }
            next = self.extends.get(base);
        }
        all
    }

    /// All plans: base mappings and overlays, by object and dialect.
    pub fn plans(&self) -> impl Iterator<Item = &Arc<Plan>> {
        self.plans.values()
    }
}

/// Which values of a status field may follow which (`transitions:`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transitions {
    /// The field, for instance `status`.
    pub field: String,
    /// From a value to those that may follow it; staying is always allowed.
    pub from: BTreeMap<String, Vec<String>>,
    /// What `POST …/cancel` sets the field to; `None`: cannot be cancelled.
    pub cancel: Option<String>,
    /// The field that takes the reason given with a cancel.
    pub reason: Option<String>,
    /// The values that a new object may have; empty: any.
    pub new: Vec<String>,
}

impl Transitions {
    /// Whether `to` may follow `from`.
    #[must_use]
    pub fn allows(&self, from: &str, to: &str) -> bool {
        from == to || self.from.get(from).is_some_and(|next| next.iter().any(|value| value == to))
    }

    /// This table narrowed by what a system allows: only steps that both know.
    #[must_use]
    pub(crate) fn narrowed(mut self, by: Self) -> Self {
        for (from, next) in &mut self.from {
            next.retain(|to| by.from.get(from).is_some_and(|allowed| allowed.contains(to)));
        }
        self.cancel = by.cancel.or(self.cancel);
        self.reason = by.reason.or(self.reason);
        if !by.new.is_empty() {
            self.new = by.new;
        }
        self
    }
}

/// After a write of an object, what its references at `field` point to is read again (`reread:`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reread {
    /// Internal field that holds a reference or a list of them.
    pub field: String,
    /// Why.
    pub why: String,
    /// One object at a time may hold the target (`exclusive: true`); two are a matter for a person.
    pub exclusive: bool,
    /// What the target's fields say when nobody holds it (`released: { status: [free] }`); else a person is asked.
    pub released: BTreeMap<String, Vec<String>>,
}

/// One kind of internal object: its schema, names and rules of life.
#[derive(Debug)]
pub struct ObjectType {
    pub(crate) name: Name,
    pub(crate) plural: Name,
    pub(crate) title: Name,
    pub(crate) resource: Name,
    pub(crate) profiles: Vec<String>,
    pub(crate) when: Option<Condition>,
    pub(crate) schema: Arc<Schema>,
    pub(crate) transitions: Option<Transitions>,
    pub(crate) reread: Vec<Reread>,
    /// Rules between fields.
    pub(crate) checks: Vec<Between>,
    pub(crate) standing: StandingRules,
    pub(crate) examples: Vec<Example>,
    pub(crate) refusals: Vec<Refusal>,
}

impl ObjectType {
    /// `clinic-session`
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    /// `clinic-sessions`
    #[must_use]
    pub fn plural(&self) -> &str {
        &self.plural
    }
    /// What a secretary calls it.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }
    /// FHIR type of the main resource.
    #[must_use]
    pub fn resource_type(&self) -> &str {
        &self.resource
    }
    /// Canonical URLs of the profiles that the FHIR side is meant to fit.
    #[must_use]
    pub fn profiles(&self) -> &[String] {
        &self.profiles
    }
    /// The JSON Schema of the internal object, self-contained.
    #[must_use]
    pub fn schema(&self) -> &Value {
        self.schema.json()
    }
    /// Everything that is wrong with an internal object, by its schema and by the rules between its fields, in plain words;
    /// empty: it is good.
    #[must_use]
    pub fn validate(&self, internal: &Value) -> Vec<Finding> {
        self.faults(internal).into_iter().map(|fault| fault.finding).collect()
    }
    /// Of what is wrong with `after` that which `before` (the version that it changes) did not have: who changes one field
    /// is not judged on another that an EHR filled in badly; who edits the faulty one is.
    #[must_use]
    pub fn new_faults(&self, before: &Value, after: &Value) -> Vec<Finding> {
        let faults = self.faults(after);
        if faults.is_empty() {
            return Vec::new();
        }
        check::new_faults((&self.faults(before), before), (faults, after))
    }
    fn faults(&self, internal: &Value) -> Vec<check::Fault> {
        let mut faults = self.schema.faults(internal);
        let checks = self.checks.iter().filter(|check| !check.warns);
        faults.extend(checks.flat_map(|check| check.faults(internal)));
        faults
    }
    /// What is worth a look in an object that is good all the same, by the rules between its fields (`severity: warning`).
    #[must_use]
    pub fn warnings(&self, internal: &Value) -> Vec<Finding> {
        let checks = self.checks.iter().filter(|check| check.warns);
        checks.flat_map(|check| check.faults(internal)).map(|fault| fault.finding).collect()
    }
    /// Turns round what stands in the wrong order: for generated objects.
    pub(crate) fn put_in_order(&self, internal: &mut Value) {
        let turned: Vec<_> = self.checks.iter().flat_map(|check| check.turned(internal)).collect();
        for (first, second) in turned {
            let (a, b) = (internal.pointer(&first).cloned(), internal.pointer(&second).cloned());
            for (pointer, value) in [(first, b), (second, a)] {
                if let (Some(place), Some(value)) = (internal.pointer_mut(&pointer), value) {
                    *place = value;
                }
            }
        }
    }
    /// Whether [`Self::validate`] finds nothing.
    #[must_use]
    pub fn is_valid(&self, internal: &Value) -> bool {
        self.schema.is_valid(internal)
            && self.checks.iter().filter(|check| !check.warns).all(|check| check.faults(internal).is_empty())
    }
    /// The status table, where the object has one.
    #[must_use]
    pub fn transitions(&self) -> Option<&Transitions> {
        self.transitions.as_ref()
    }
    /// What is read again after a write.
    #[must_use]
    pub fn reread(&self) -> &[Reread] {
        &self.reread
    }
    /// The worked examples.
    #[must_use]
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }
    /// The worked examples of what a dialect does not take.
    #[must_use]
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }
}

/// Who decides when both sides changed a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// Ours wins.
    #[default]
    Internal,
    /// The EHR wins.
    Ehr,
    /// A person decides.
    Review,
}
