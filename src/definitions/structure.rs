//! A structure as the validator needs it: the snapshot's elements in order, typed, without prose. Immutable once made.
//! <https://hl7.org/fhir/R4/structuredefinition.html>, <https://hl7.org/fhir/R4/elementdefinition.html>

use std::{collections::HashMap, sync::Arc};

use crate::fhir::Value;

/// `StructureDefinition.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `primitive-type`.
    Primitive,
    /// `complex-type`, extensions among them.
    Complex,
    /// `resource`.
    Resource,
    /// `logical`.
    Logical,
}

/// `StructureDefinition.derivation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Derivation {
    /// A type of its own.
    Specialization,
    /// A profile upon a type.
    Constraint,
}

/// Where an extension may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionContext {
    /// How `expression` is meant.
    pub kind: ContextKind,
    /// An element id, an extension's URL, or a FHIRPath expression.
    pub expression: String,
}

/// `StructureDefinition.context.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContextKind {
    /// A FHIRPath expression that selects the places.
    Fhirpath,
    /// An element id (`Patient.contact`) or a type name (`Element` and `Resource` mean any).
    Element,
    /// The URL of the extension within which it stands.
    Extension,
}

/// One StructureDefinition with its snapshot.
#[derive(Clone, Debug)]
pub struct Structure {
    /// Canonical URL, without version.
    pub url: String,
    /// Business version.
    pub version: Option<String>,
    /// Computer-friendly name.
    pub name: String,
    /// Name for people, if there is one.
    pub title: Option<String>,
    /// What it describes.
    pub kind: Kind,
    /// Whether instances of exactly this type cannot exist (`DomainResource`).
    pub is_abstract: bool,
    /// The type described or constrained: `Patient`, `Extension`, `string`.
    pub type_name: String,
    /// Canonical of the structure it derives from.
    pub base: Option<String>,
    /// Type of its own, or profile.
    pub derivation: Derivation,
    /// Canonicals of the profiles that whoever meets this one must meet as well.
    pub imposed: Vec<String>,
    /// For extensions: where they may stand.
    pub contexts: Vec<ExtensionContext>,
    /// For extensions: FHIRPath invariants that must hold where they stand.
    pub context_invariants: Vec<String>,
    /// `draft`, `active`, `retired`.
    pub status: String,
    /// Not meant for real use.
    pub experimental: bool,
    /// `name#version` of the package it came with; empty for loose files.
    pub package: String,
    /// The snapshot's elements in order; `elements[0]` is the root.
    pub elements: Vec<Element>,
    /// True if the snapshot was generated here because the definition had none.
    pub generated: bool,
    /// Its snapshot had to be generated and its base is not at hand, so that it says only a part of what it demands.
    pub is_partial: bool,
    /// What could not be understood or generated; a validator reports these and never skips silently.
    pub problems: Vec<String>,
    pub(super) layer: usize,
    pub(super) by_id: HashMap<String, usize>,
    pub(super) children: Vec<Vec<usize>>,
    pub(super) slices: Vec<Vec<usize>>,
}

impl Structure {
    /// Index of the element with this id (`Patient.identifier:mrn.system`).
    #[must_use]
    pub fn index_of(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// The element with this id.
    #[must_use]
    pub fn element(&self, id: &str) -> Option<&Element> {
        self.index_of(id).and_then(|at| self.elements.get(at))
    }

    /// Indexes of the elements directly below the element at `at`, in order, that are not slices
    /// (children of a slice are below the slice, whose own place is [`Self::slices`]).
    #[must_use]
    pub fn children(&self, at: usize) -> &[usize] {
        self.children.get(at).map_or(&[], Vec::as_slice)
    }

    /// Indexes of the slices of the element at `at` (re-slices of a slice if that is a slice), in order.
    #[must_use]
    pub fn slices(&self, at: usize) -> &[usize] {
        self.slices.get(at).map_or(&[], Vec::as_slice)
    }

    /// `url|version`, or the URL alone.
    #[must_use]
    pub fn canonical(&self) -> String {
        match &self.version {
            Some(version) => format!("{}|{version}", self.url),
            None => self.url.clone(),
        }
    }

    /// Finds parents, children and slices. By order and path, since ids of other people's snapshots are not reliable.
    pub(super) fn index(&mut self) {
        let count = self.elements.len();
        let (mut children, mut slices) = (vec![Vec::new(); count], vec![Vec::new(); count]);
        let mut last_at_path: HashMap<&str, usize> = HashMap::new();
        for (at, element) in self.elements.iter().enumerate() {
            let parent = element.path.rsplit_once('.').and_then(|(parent, _)| last_at_path.get(parent).copied());
            if let Some(parent) = parent {
                let siblings: &[usize] = &children[parent];
                let sliced =
                    siblings.iter().rev().find(|sibling| self.elements[**sibling].path == element.path).copied();
                match (&element.slice_name, sliced) {
                    (Some(name), Some(sliced)) => {
                        let outer =
                            name.rsplit_once('/').and_then(|(outer, _)| self.slice_named(&slices, sliced, outer));
                        slices[outer.unwrap_or(sliced)].push(at);
                    }
                    _ => children[parent].push(at),
                }
            }
            last_at_path.insert(&element.path, at);
        }
        self.by_id = self.elements.iter().enumerate().map(|(at, element)| (element.id.clone(), at)).collect();
        (self.children, self.slices) = (children, slices);
    }

    fn slice_named(&self, slices: &[Vec<usize>], of: usize, name: &str) -> Option<usize> {
        slices[of].iter().find_map(|at| {
            let own = self.elements[*at].slice_name.as_deref();
            if own == Some(name) { Some(*at) } else { self.slice_named(slices, *at, name) }
        })
    }
}

/// One element of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Element {
    /// `Patient.identifier:mrn.system`; slices after a colon, re-slices after a slash.
    pub id: String,
    /// `Patient.identifier.system`; a choice ends with `[x]`.
    pub path: String,
    /// The slice that this element defines, if it does.
    pub slice_name: Option<String>,
    /// Fewest.
    pub min: u32,
    /// Most; `None` is unbounded (`*`).
    pub max: Option<u32>,
    /// `base.max` of the type that first defined it: `None` is `*`. Says whether JSON has an array here.
    pub base_max: Option<u32>,
    /// `base.path`: the element of the type that first defined it (`DomainResource.extension`).
    pub base_path: String,
    /// Allowed types; empty for roots and content references.
    pub types: Vec<TypeRef>,
    /// The id of the element whose content is meant, without `#` (`Questionnaire.item`).
    pub content_reference: Option<String>,
    /// `fixed[x]`: must be exactly this.
    pub fixed: Option<TypedValue>,
    /// `pattern[x]`: must contain this.
    pub pattern: Option<TypedValue>,
    /// `minValue[x]`.
    pub min_value: Option<TypedValue>,
    /// `maxValue[x]`.
    pub max_value: Option<TypedValue>,
    /// Characters of a string at most.
    pub max_length: Option<u64>,
    /// Further bounds that extensions state.
    pub limits: Limits,
    /// The value set binding.
    pub binding: Option<Binding>,
    /// Invariants; those of the element's type are repeated here as the snapshot has them (see `Constraint::source`).
    pub constraints: Vec<Arc<Constraint>>,
    /// How the list is sliced.
    pub slicing: Option<Slicing>,
    /// Changes the meaning of the whole.
    pub is_modifier: bool,
    /// Must be supported by systems claiming the profile.
    pub must_support: bool,
    /// In the summary.
    pub is_summary: bool,
    /// A few words on what it is.
    pub short: Option<String>,
}

impl Element {
    /// Last part of the path: `identifier`, `value[x]`; the type's name for the root.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit_once('.').map_or(self.path.as_str(), |(_, name)| name)
    }

    /// For a choice (`value[x]`) the name without `[x]`.
    #[must_use]
    pub fn choice(&self) -> Option<&str> {
        self.name().strip_suffix("[x]")
    }

    /// Whether more than one may stand in the JSON, so that it is an array there.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.base_max.is_none_or(|max| max > 1)
    }
}

/// Bounds on a value that have extensions of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `minLength`: characters at least.
    pub min_length: Option<u64>,
    /// `regex`: what the whole text must match.
    pub regex: Option<String>,
    /// `maxDecimalPlaces`.
    pub decimals: Option<u64>,
    /// `maxSize`: bytes at most of base64 data or of an attachment.
    pub size: Option<u64>,
}

/// One allowed type of an element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeRef {
    /// FHIR type name (`string`, `Reference`). Where the definition names a FHIRPath system type with the
    /// `fhir-type` extension, that FHIR type.
    pub code: String,
    /// True for the FHIRPath system types of ids, URLs of extensions and values of primitives.
    pub is_system: bool,
    /// Profiles of which one must be met.
    pub profiles: Vec<String>,
    /// For `Reference` and `canonical`: profiles of which the target must meet one.
    pub target_profiles: Vec<String>,
    /// `contained`, `referenced`, `bundled`; empty: any.
    pub aggregation: Vec<String>,
    /// `either`, `independent`, `specific`.
    pub versioning: Option<String>,
    /// Regular expression of the primitive's text (not anchored in the definition, but meant to match all of it).
    pub regex: Option<String>,
}

/// A value with its FHIR type: `fixedUri` → `uri`.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedValue {
    /// FHIR type name.
    pub type_name: String,
    /// As JSON.
    pub value: Value,
}

/// `binding.strength`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Strength {
    /// A hint only.
    Example,
    /// Should.
    Preferred,
    /// Must if one fits.
    Extensible,
    /// Must.
    Required,
}

/// A binding to a value set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// How strictly.
    pub strength: Strength,
    /// Canonical of the value set; some example bindings name none.
    pub value_set: Option<String>,
    /// `maxValueSet`: whatever the strength, the code must be of this one.
    pub max_value_set: Option<String>,
    /// Further value sets that hold as well (HL7's additional bindings).
    pub additional: Vec<Additional>,
    /// Words for people on the kind of codes meant.
    pub description: Option<String>,
}

/// A further value set of a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Additional {
    /// How strictly.
    pub strength: Strength,
    /// Canonical of the value set.
    pub value_set: String,
    /// Where there are some, it holds only in these cases.
    pub usage: Vec<Usage>,
}

/// A case: an element of the same resource has one of these codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The profile whose element it is; other systems name cases that nobody can tell from a resource.
    pub profile: String,
    /// Path of the element.
    pub path: String,
    /// System and code.
    pub codings: Vec<(String, String)>,
}

/// An invariant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Constraint {
    /// `pat-1`.
    pub key: String,
    /// Error, or warning only.
    pub is_error: bool,
    /// A warning that is best practice only.
    pub best_practice: bool,
    /// The sentence for people.
    pub human: String,
    /// FHIRPath; some (rare) have none.
    pub expression: Option<String>,
    /// Canonical of the structure that first states it; `None` where the definition does not say.
    pub source: Option<String>,
}

/// How a list is sliced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slicing {
    /// All must agree; none: slices are told apart by no rule (only descriptive).
    pub discriminators: Vec<Discriminator>,
    /// Slices must stand in the profile's order.
    pub ordered: bool,
    /// What of items that match no slice.
    pub rules: Rules,
}

/// `slicing.rules`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rules {
    /// None may.
    Closed,
    /// May stand anywhere.
    Open,
    /// May stand at the end.
    OpenAtEnd,
}

/// How an item's slice is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discriminator {
    /// What of the element at `path`.
    pub kind: DiscriminatorKind,
    /// Restricted FHIRPath: `$this`, `coding.code`, `resolve()`, `extension('url').value`.
    pub path: String,
}

/// `slicing.discriminator.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiscriminatorKind {
    /// Fixed value, pattern or required binding.
    Value,
    /// Whether it is there.
    Exists,
    /// The same as `Value` (R4's older word).
    Pattern,
    /// Its type.
    Type,
    /// The profile it meets.
    Profile,
}
