//! What a definition means by the canonicals it names: bases and types of profiles, code systems and imports of value
//! sets. The package that names them decides which version is meant.

use std::{cell::Cell, sync::Arc};

use super::{
    Definitions, Structure, compile, snapshot,
    store::{At, TYPES, lock},
    terminology::{CodeSystem, Source, ValueSet, Why},
};
use crate::fhir::Value;

/// What a value set of the pack `layer` means by canonicals.
pub(super) struct Within<'a> {
    pub(super) definitions: &'a Definitions,
    pub(super) layer: Option<usize>,
    /// How many more value sets may be made ready for the one that was asked for.
    pub(super) left: &'a Cell<u32>,
}

impl Source for Within<'_> {
    fn code_system(&self, canonical: &str) -> Option<Arc<CodeSystem>> {
        let at = self.definitions.find(canonical, "CodeSystem", self.layer)?;
        self.definitions.code_system_at(at)
    }

    fn value_set(&self, canonical: &str, open: &[String]) -> Result<Arc<ValueSet>, Why> {
        self.definitions.value_set_within(canonical, self.layer, open, self.left)
    }
}

/// How many value sets one that is asked for may draw in. Real ones need a few dozen; circles of many would need more
/// than time allows.
pub(super) const MOST_DRAWN_IN: u32 = 2000;
/// The same for snapshots that must be generated. Those outside a circle are kept, and so generated once.
pub(super) const MOST_GENERATED: u32 = 100;

/// Elements of a snapshot that others may unfold within themselves. The largest published ones have under 2,000.
const MOST_ELEMENTS: usize = 4_000;

/// What a profile of the pack `layer` derives from; `open` are those whose snapshots are being generated around it.
pub(super) struct Bases<'a> {
    pub(super) definitions: &'a Definitions,
    pub(super) layer: Option<usize>,
    pub(super) open: Vec<At>,
    /// How many more snapshots may be generated for the one that was asked for.
    pub(super) left: &'a Cell<u32>,
    /// Whether a circle (or the limit) cut something short, so that the result must not be kept.
    pub(super) cut: bool,
}

impl snapshot::Bases for Bases<'_> {
    fn snapshot(&mut self, canonical: &str) -> Option<Vec<Value>> {
        let canonical = if canonical.contains('/') { canonical.to_owned() } else { format!("{TYPES}{canonical}") };
        let at = self.definitions.find(&canonical, "StructureDefinition", self.layer)?;
        if let Some(known) = lock(&self.definitions.generated).get(&at) {
            let mut elements = known.as_ref().clone();
            self.pin(at, &mut elements);
            return Some(elements);
        }
        let mut resource = self.definitions.value(at)?;
        if let Some(Value::Array(elements)) = resource.pointer_mut("/snapshot/element").map(Value::take)
            && !elements.is_empty()
        {
            let mut elements = elements;
            self.pin(at, &mut elements);
            return Some(elements);
        }
        if self.open.contains(&at) || self.left.get() == 0 {
            self.cut = true;
            return None;
        }
        self.left.set(self.left.get() - 1);
        let open = [self.open.as_slice(), &[at]].concat();
        let (definitions, left) = (self.definitions, self.left);
        let mut bases = Bases { definitions, layer: Some(at.0), open, left, cut: false };
        let mut elements = snapshot::generate(&resource, &mut bases, false).elements;
        if elements.len() > MOST_ELEMENTS {
            self.cut = true;
            return None;
        }
        if bases.cut {
            self.cut = true;
        } else {
            lock(&self.definitions.generated).insert(at, Arc::new(elements.clone()));
        }
        self.pin(at, &mut elements);
        Some(elements)
    }

    fn is_open(&self, canonical: &str) -> bool {
        self.definitions.find(canonical, "StructureDefinition", self.layer).is_some_and(|at| self.open.contains(&at))
    }
}

impl Bases<'_> {
    /// Whoever inherits a binding from another package inherits the version that *that* package means.
    fn pin(&self, from: At, elements: &mut [Value]) {
        if self.layer == Some(from.0) || from.0 == 0 {
            return;
        }
        for element in elements {
            if let Some(Value::String(canonical)) = element.pointer_mut("/binding/valueSet")
                && let Some(pinned) = self.definitions.pinned(canonical, "ValueSet", from.0)
            {
                *canonical = pinned;
            }
            let types = element.get_mut("type").and_then(Value::as_array_mut).into_iter().flatten();
            for list in types.filter_map(Value::as_object_mut).flat_map(|ty| ty.iter_mut()) {
                for canonical in list.1.as_array_mut().into_iter().flatten().filter(|_| list.0.ends_with("rofile")) {
                    let pinned =
                        canonical.as_str().and_then(|url| self.definitions.pinned(url, "StructureDefinition", from.0));
                    if let Some(pinned) = pinned {
                        *canonical = Value::from(pinned);
                    }
                }
            }
        }
    }
}

impl Definitions {
    /// What `from` means by the canonical of a profile: with its version, where several packages bring several.
    #[must_use]
    pub fn meant(&self, canonical: &str, from: &Structure) -> String {
        let pinned = self.pinned(canonical, "StructureDefinition", from.layer);
        pinned.unwrap_or_else(|| canonical.to_owned())
    }

    /// `url|version` of what the pack `from` means by a canonical without a version, where there are several versions.
    fn pinned(&self, canonical: &str, kind: &str, from: usize) -> Option<String> {
        if canonical.contains('|') || self.versions(canonical, kind) < 2 {
            return None;
        }
        // FHIR's own are what everybody means who says nothing else.
        let at = self.find(canonical, kind, Some(from)).filter(|at| at.0 > 0)?;
        let version = &self.entry(at).version;
        (!version.is_empty()).then(|| format!("{canonical}|{version}"))
    }

    /// What the differential of a profile makes of its base, whatever its own snapshot says, as the package that it
    /// belongs to (if it is one of those at hand) means its base.
    #[must_use]
    pub fn derive(&self, resource: &Value) -> snapshot::Derived {
        let text = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default();
        let own = self.find(text("url"), "StructureDefinition", None);
        let left = Cell::new(MOST_GENERATED);
        let open = own.into_iter().collect();
        let mut bases = Bases { definitions: self, layer: own.map(|own| own.0), open, left: &left, cut: false };
        snapshot::generate(resource, &mut bases, true)
    }

    /// The structure that `elements` (a snapshot's) give to a StructureDefinition which need not be at hand.
    #[must_use]
    pub fn structure_of(&self, resource: &Value, elements: &[Value]) -> Option<Structure> {
        let mut structure = compile::structure(resource)?;
        let own = self.find(&structure.url, "StructureDefinition", None);
        structure.layer = own.map_or(0, |own| own.0);
        let mut problems = Vec::new();
        structure.elements = compile::elements(elements.iter(), &mut lock(&self.constraints), &mut problems);
        structure.problems = problems;
        structure.index();
        Some(structure)
    }
}
