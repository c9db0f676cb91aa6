//! What an evaluation knows besides the data: `%resource`, `%rootResource`, variables, the time, the traits for what lies
//! outside, and the budgets.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

use super::{
    item::{Item, Node},
    model::{Inferred, Model},
    types::Type,
};

/// What a reference leads to.
#[derive(Clone, Copy, Debug)]
pub enum Resolved<'a> {
    /// The resource itself.
    Resource(&'a Value),
    /// The resource is not at hand but its type is sure (`resolve() is Patient` can be answered).
    OnlyType(Type),
}

/// Follows references that leave the resource. References to contained resources (`#id`) are followed by the engine.
pub trait Resolver: Send + Sync {
    /// The target of `reference` (literal text) as seen from `resource` (the `%rootResource`); `None` if unknown.
    fn resolve<'a>(&'a self, reference: &str, resource: Option<&'a Value>) -> Option<Resolved<'a>>;
}

/// A code to be judged.
#[derive(Clone, Copy, Debug)]
pub struct Coding<'a> {
    /// The system; `None` for a bare `code` or string.
    pub system: Option<&'a str>,
    /// The version, if stated.
    pub version: Option<&'a str>,
    /// The code.
    pub code: &'a str,
}

/// Answers `memberOf`, `subsumes`.
pub trait Terminology: Send + Sync {
    /// Whether the code is in the value set; `None` if that cannot be decided (an error is then signalled, as R4
    /// has it).
    fn member_of(&self, value_set: &str, coding: Coding<'_>) -> Option<bool>;
    /// Whether `a` subsumes `b`; `None` if that cannot be decided (an error, too).
    fn subsumes(&self, a: Coding<'_>, b: Coding<'_>) -> Option<bool> {
        let _ = (a, b);
        None
    }
}

/// Answers `conformsTo` and `htmlChecks`.
pub trait Conformance: Send + Sync {
    /// Whether the element conforms to the profile; `None` if the profile is not known (an error is then signalled).
    fn conforms_to(&self, node: Node<'_>, profile: &str) -> Option<bool>;
    /// Whether the element is in the slice of that name of a profile; `None` if that cannot be told (an error, too).
    fn in_slice(&self, node: Node<'_>, profile: &str, slice: &str) -> Option<bool> {
        let _ = (node, profile, slice);
        None
    }
    /// Whether the text of a narrative's `div` is XHTML that FHIR allows; `None` if that is not checked here (an error
    /// is then signalled).
    fn html(&self, text: &str) -> Option<bool> {
        let _ = text;
        None
    }
}

/// How much an evaluation may do.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Steps: evaluated sub-expressions and visited items.
    pub steps: u64,
    /// Nesting while evaluating.
    pub depth: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { steps: 5_000_000, depth: 200 }
    }
}

/// What `trace()` calls: the name and the items.
pub type Trace = dyn Fn(&str, &[Item<'_>]);

/// Further `%name` variables. (`Vec`: a context must be free to serve expressions that live shorter, and `Collection`
/// would forbid it.)
pub type Variables<'a> = BTreeMap<String, Vec<Item<'a>>>;

/// Everything an evaluation may ask for. Fields are public: start with `Context::new` and set what is known.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Types.
    pub model: &'a dyn Model,
    /// `resolve()` beyond contained resources.
    pub resolver: Option<&'a dyn Resolver>,
    /// `memberOf`, `subsumes`.
    pub terminology: Option<&'a dyn Terminology>,
    /// `conformsTo`.
    pub conformance: Option<&'a dyn Conformance>,
    /// `%resource`: the resource that holds the focus (a contained one is its own).
    pub resource: Option<Node<'a>>,
    /// `%rootResource`: the outermost resource (for a contained one: its container).
    pub root_resource: Option<Node<'a>>,
    /// Further variables.
    pub variables: Option<&'a Variables<'a>>,
    /// The instant for `now()`, `today()`, `timeOfDay()`; without it these signal an error.
    pub now: Option<Timestamp>,
    /// The zone for these.
    pub zone: Option<&'a TimeZone>,
    /// Receives `trace(name)`: name and the items.
    pub trace: Option<&'a Trace>,
    /// Navigating to an element that the type does not have is an error instead of empty.
    pub strict: bool,
    /// Limits.
    pub budget: Budget,
}

impl<'a> Context<'a> {
    /// Nothing known but the types; `resource` serves as `%resource` and `%rootResource`.
    #[must_use]
    pub fn new(model: &'a dyn Model, resource: Option<Node<'a>>) -> Self {
        Self {
            model,
            resolver: None,
            terminology: None,
            conformance: None,
            resource,
            root_resource: resource,
            variables: None,
            now: None,
            zone: None,
            trace: None,
            strict: false,
            budget: Budget::default(),
        }
    }

    /// No model: types are inferred.
    #[must_use]
    pub fn inferred(resource: &'a Value) -> Self {
        Self::new(&Inferred, Some(Node::new(Some(resource), None, Type::UNKNOWN)))
    }
}
