//! The compiled form of a mapping: rules over interned paths. Plain data; `run/` executes it, `load/` makes it.

mod condition;
mod limit;
mod select;

pub(crate) use condition::Condition;
pub(crate) use limit::{Limit, Refuse, found};
pub(crate) use select::{Selector, Test};

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{fit::Fit, load::yaml::Place, transform::Transform};
use crate::fhir::Object;

/// A name that many rules share.
pub(crate) type Name = Arc<str>;

/// Rules about the members of one object or resource, and what a new one starts with.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    pub(crate) rules: Vec<Rule>,
    /// Constants of a new object.
    pub(crate) template: Object,
}

/// One rule.
pub(crate) struct Rule {
    pub(crate) at: Place,
    /// Field of the internal object, relative to the scope; empty: the value itself.
    pub(crate) internal: Vec<Name>,
    pub(crate) target: Target,
    pub(crate) kind: Kind,
    /// What the object's schema takes of the value, or of an item.
    pub(crate) fit: Option<Fit>,
    /// What absence means.
    pub(crate) default: Option<Value>,
    /// Said as the reason where the field is absent.
    pub(crate) absent: Option<Name>,
    pub(crate) direction: Direction,
    pub(crate) lossy: Option<Name>,
    pub(crate) owner: Option<super::Owner>,
    pub(crate) merging: Merging,
    /// Over the internal object.
    pub(crate) condition: Option<Condition>,
    pub(crate) doc: Option<Name>,
}

/// All that decides how the rule runs: part of a plan's digest. What it says to the merge does not; what the schema takes is
/// in the plan's version.
impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            at,
            internal,
            target,
            kind,
            fit: _,
            default,
            absent,
            direction,
            lossy,
            owner,
            merging: _,
            condition,
            doc,
        } = self;
        f.debug_struct("Rule")
            .field("at", at)
            .field("internal", internal)
            .field("target", target)
            .field("kind", kind)
            .field("default", default)
            .field("absent", absent)
            .field("direction", direction)
            .field("lossy", lossy)
            .field("owner", owner)
            .field("condition", condition)
            .field("doc", doc)
            .finish()
    }
}

/// What a rule says to the merge, beside who owns the field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Merging {
    /// The order of the list means something: it is one value.
    pub(crate) ordered: bool,
    /// By what an item of the list is recognised.
    pub(crate) key: Vec<Name>,
    /// What of a text does not matter.
    pub(crate) forms: Forms,
    /// What an EHR may answer to a word.
    pub(crate) answers: Answered,
}

/// Word that was sent → words that an EHR may answer it with.
pub(crate) type Answered = BTreeMap<String, Vec<String>>;

/// What of a text does not matter when two are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forms {
    pub(crate) white_space: bool,
    pub(crate) case: bool,
}

/// Which way a rule runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Direction {
    #[default]
    Both,
    ToFhir,
    ToInternal,
}

/// What a rule does.
#[derive(Debug)]
pub(crate) enum Kind {
    /// One value.
    Leaf(Transform),
    /// A list of values.
    Values(Transform),
    /// A nested object.
    Group(Scope),
    /// A list of objects.
    Each { scope: Scope, by: Vec<Name> },
    /// A contained resource behind a reference.
    Contained { resource: Name, prefix: Name, scope: Scope },
    /// A computed value, to FHIR only.
    Compute(Condition),
    /// A constant that comes and goes with a condition, to FHIR only.
    Fixed(Value),
}

/// Where in the resource a rule reads and writes.
#[derive(Debug)]
pub(crate) struct Target {
    /// Index of the part.
    pub(crate) part: usize,
    /// The way to the object that has the element.
    pub(crate) steps: Vec<Step>,
    pub(crate) leaf: Leaf,
    /// As written, canonical, from the resource type down.
    pub(crate) text: Name,
    /// FHIR type of the element.
    pub(crate) type_name: Name,
}

/// One step down.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A single object.
    Object(Name),
    /// The object beside a primitive, `_name`.
    Beside(Name),
    /// One item of a list.
    Item(Name, Arc<Selector>),
}

/// The element at the end of the way.
#[derive(Clone, Debug)]
pub(crate) enum Leaf {
    /// The object that the last step leads to.
    Here,
    /// A member.
    Member { name: Name, beside: Option<Name>, siblings: Vec<Name> },
    /// A whole list, or those of its items that are selected.
    List { name: Name, beside: Option<Name>, select: Arc<Selector> },
}

/// A further resource of the object; the first part is the main one.
#[derive(Debug)]
pub(crate) struct PartPlan {
    pub(crate) role: Name,
    pub(crate) resource: Name,
    /// Over the internal object: whether there is such a part.
    pub(crate) condition: Option<Condition>,
    pub(crate) scope: Scope,
    /// A `Binary` that carries a stored attachment: made by the rule that names it.
    pub(crate) carrier: bool,
}

/// Which objects are which FHIR types, in all mappings of the set.
#[derive(Debug, Default)]
pub(crate) struct ObjectTable {
    pub(crate) type_of: BTreeMap<Name, Name>,
    pub(crate) of_type: BTreeMap<Name, Vec<Name>>,
}
