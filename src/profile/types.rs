//! The types of FHIR as the walk and FHIRPath need them: one slot a type, compiled when first met and kept. Owns the
//! numbers behind `fhirpath::Type` (slot and node within it) and implements FHIRPath's `Model`.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, OnceLock},
};

use super::{base, invariant::Invariant, primitive::Primitive};
use crate::{
    definitions::{self, Definitions, Structure},
    fhirpath::{Child, Choice, Kind, Model, Type},
};

const TYPES: &str = "http://hl7.org/fhir/StructureDefinition/";

/// FNV-1a: keys are short and the tables are ours, so that nobody can choose colliding ones to hurt us.
#[derive(Clone, Copy)]
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// A table by name.
pub type Names<T> = HashMap<Box<str>, T, BuildHasherDefault<Fnv>>;

/// What a JSON property of an object is.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Index in [`Node::elements`].
    pub element: u16,
    /// Index in [`Element::types`].
    pub alternative: u16,
    /// `_name`: extensions of a primitive.
    pub underscore: bool,
}

/// Types that have checks of their own beyond their structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// None.
    None,
    /// `Extension`.
    Extension,
    /// `Reference`.
    Reference,
    /// `Narrative`.
    Narrative,
    /// `Attachment`.
    Attachment,
    /// `Coding`.
    Coding,
    /// `CodeableConcept`.
    CodeableConcept,
    /// `Quantity` and its kind.
    Quantity,
    /// `Identifier`.
    Identifier,
}

impl Special {
    /// By type name.
    pub fn of(code: &str) -> Self {
        match code {
            "Extension" => Self::Extension,
            "Reference" => Self::Reference,
            "Narrative" => Self::Narrative,
            "Attachment" => Self::Attachment,
            "Identifier" => Self::Identifier,
            "Coding" => Self::Coding,
            "CodeableConcept" => Self::CodeableConcept,
            "Quantity" | "Age" | "Duration" | "Count" | "Distance" | "Money" => Self::Quantity,
            _ => Self::None,
        }
    }
}

/// One allowed type of an element.
#[derive(Debug)]
pub struct Alternative {
    /// Checks of its own.
    pub special: Special,
    /// FHIR's name.
    pub code: Box<str>,
    /// JSON property (`valueQuantity`).
    pub key: Box<str>,
    /// JSON property of a primitive's extensions (`_valueString`).
    pub underscore: Box<str>,
    /// For FHIRPath, and where the content is described.
    pub ty: Type,
    /// If it is primitive.
    pub primitive: Option<Primitive>,
    /// Profiles of which one must be met (`SimpleQuantity`).
    pub profiles: Vec<String>,
    /// Target profiles of a reference or canonical.
    pub targets: Vec<String>,
}

/// One element of an object.
#[derive(Debug)]
pub struct Element {
    /// Name; for a choice without `[x]`.
    pub name: Box<str>,
    /// Path in its structure.
    pub path: Box<str>,
    /// Fewest.
    pub min: u32,
    /// Most.
    pub max: Option<u32>,
    /// An array in JSON.
    pub list: bool,
    /// `value[x]`.
    pub choice: bool,
    /// What it may be.
    pub types: Vec<Alternative>,
    /// Codes.
    pub binding: Option<super::binding::Bound>,
    /// Of this element, beyond those of its type.
    pub invariants: Vec<Invariant>,
}

/// An object: the root of a type, or a backbone element within it.
#[derive(Debug)]
pub struct Node {
    /// Number and kind.
    pub ty: Type,
    /// Declared type: `Patient`, `BackboneElement`.
    pub declared: Box<str>,
    /// JSON properties.
    pub keys: Names<Key>,
    /// Elements by FHIRPath's name.
    pub by_name: Names<u16>,
    /// Elements in order.
    pub elements: Vec<Element>,
    /// Elements that must be there.
    pub required: Vec<u16>,
    /// Invariants of the object.
    pub invariants: Vec<Invariant>,
    pub(super) model: Names<ModelChild>,
}

#[derive(Debug)]
pub(super) enum ModelChild {
    One(Type),
    Many(Box<[Choice]>),
}

/// A compiled type.
#[derive(Debug)]
pub struct TypePlan {
    /// Its definition.
    pub structure: Arc<Structure>,
    /// Root first.
    pub nodes: Vec<Node>,
    /// Path of each node.
    pub paths: Vec<String>,
    /// Whether its resources have a canonical URL.
    pub is_canonical: bool,
    /// Whether it derives from DomainResource.
    pub is_domain: bool,
    /// Slots of this and all it derives from.
    pub ancestors: Vec<u32>,
    /// What could not be compiled.
    pub problems: Vec<String>,
}

struct Slot {
    name: Box<str>,
    plan: OnceLock<Option<Box<TypePlan>>>,
}

/// All types.
pub struct Types {
    /// Where they are defined.
    pub definitions: Arc<Definitions>,
    slots: Vec<Slot>,
    by_name: Names<u32>,
}

impl Types {
    /// Types of these definitions; compiles none yet.
    pub fn new(definitions: Arc<Definitions>) -> Self {
        let mut by_name: Names<u32> = Names::default();
        let mut slots = Vec::new();
        for found in definitions.list("StructureDefinition") {
            let Some(name) = found.url.strip_prefix(TYPES).filter(|name| !name.contains(['/', '-'])) else { continue };
            if by_name.contains_key(name) {
                continue;
            }
            by_name.insert(name.into(), u32::try_from(slots.len()).unwrap_or(u32::MAX));
            slots.push(Slot { name: name.into(), plan: OnceLock::new() });
        }
        Self { definitions, slots, by_name }
    }

    /// Slot of a type name.
    pub fn slot(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// A type's name as kept here.
    pub fn known(&self, name: &str) -> Option<&str> {
        Some(&self.slots.get(usize::try_from(self.slot(name)?).ok()?)?.name)
    }

    /// The plan in a slot; none if it is no type of its own or cannot be read.
    pub fn plan(&self, slot: u32) -> Option<&TypePlan> {
        let slot = self.slots.get(usize::try_from(slot).ok()?)?;
        let made = slot.plan.get_or_init(|| {
            let structure = self.definitions.base_type(&slot.name)?;
            (structure.derivation == definitions::Derivation::Specialization)
                .then(|| Box::new(base::compile(self, structure)))
        });
        made.as_deref()
    }

    /// The plan of a type by name.
    pub fn by_name(&self, name: &str) -> Option<&TypePlan> {
        self.plan(self.slot(name)?)
    }

    /// The plan of a concrete resource type.
    pub fn resource(&self, name: &str) -> Option<&TypePlan> {
        self.by_name(name)
            .filter(|plan| plan.structure.kind == definitions::Kind::Resource && !plan.structure.is_abstract)
    }

    /// The node that describes the content of a type.
    pub fn node(&self, ty: Type) -> Option<&Node> {
        if ty.is_unknown() {
            return None;
        }
        self.plan(ty.id >> 16)?.nodes.get(usize::try_from(ty.id & 0xffff).ok()?)
    }

    /// The plan and node that describe the content of a type.
    pub fn content(&self, ty: Type) -> Option<(&TypePlan, &Node)> {
        if ty.is_unknown() {
            return None;
        }
        let plan = self.plan(ty.id >> 16)?;
        Some((plan, plan.nodes.get(usize::try_from(ty.id & 0xffff).ok()?)?))
    }

    /// The path of a backbone element's definition; none for the root of a type.
    pub fn path(&self, ty: Type) -> Option<&str> {
        if ty.is_unknown() || ty.id & 0xffff == 0 {
            return None;
        }
        self.plan(ty.id >> 16)?.paths.get(usize::try_from(ty.id & 0xffff).ok()?).map(String::as_str)
    }

    /// The type of the root of a named type.
    pub fn root(&self, name: &str) -> Type {
        self.slot(name).map_or(Type::UNKNOWN, |slot| Type { id: slot << 16, kind: kind_of(name) })
    }
}

/// What is no data type is a resource.
fn kind_of(name: &str) -> Kind {
    Kind::of_data_type(name).unwrap_or(Kind::Resource)
}

impl Model for Types {
    fn named(&self, name: &str) -> Option<Type> {
        let ty = self.root(name);
        (!ty.is_unknown()).then_some(ty)
    }

    fn name(&self, of: Type) -> &str {
        self.node(of).map_or("", |node| &node.declared)
    }

    fn is_a(&self, of: Type, ancestor: Type) -> bool {
        if of.is_unknown() || ancestor.is_unknown() {
            return false;
        }
        if of == ancestor {
            return true;
        }
        let slot = if of.id & 0xffff == 0 { Some(of.id >> 16) } else { self.slot(self.name(of)) };
        slot.and_then(|slot| self.plan(slot)).is_some_and(|plan| plan.ancestors.contains(&(ancestor.id >> 16)))
    }

    fn child(&self, of: Type, name: &str) -> Child<'_> {
        let Some(node) = self.node(of) else { return Child::Unknown };
        match node.model.get(name) {
            Some(ModelChild::One(ty)) => Child::Element(*ty),
            Some(ModelChild::Many(choices)) => Child::Choice(choices),
            None => Child::Absent,
        }
    }

    fn property(&self, of: Type, key: &str) -> Type {
        let Some(node) = self.node(of) else { return Type::UNKNOWN };
        node.keys
            .get(key)
            .map_or(Type::UNKNOWN, |key| node.elements[usize::from(key.element)].types[usize::from(key.alternative)].ty)
    }
}
