//! Profiles, compiled to what they demand beyond the base types (which the walk has checked already) and laid over a
//! resource. An element of which a profile demands nothing more is not visited. Owns slicing, fixed values and
//! patterns. <https://hl7.org/fhir/R4/profiling.html>

mod aggregation;
mod apply;
mod bounds;
mod compile;
mod discriminator;
mod items;
mod slicing;
mod targets;
mod value;

use std::sync::Arc;

use serde_json::Value;

use super::{binding::Bound, invariant::Invariant, types::Types};
use crate::definitions::{Limits, Rules, Structure, TypedValue};

/// A compiled profile.
#[derive(Debug)]
pub struct ProfilePlan {
    /// Its definition.
    pub structure: Arc<Structure>,
    /// What the root must keep.
    pub root: Demand,
    /// Profiles that must be met as well.
    pub imposed: Vec<String>,
    /// What could not be compiled; reported.
    pub problems: Vec<String>,
    /// If it derives from itself: the way round.
    pub circle: Option<String>,
}

impl ProfilePlan {
    /// Compiles a structure.
    pub fn compile(types: &Types, structure: Arc<Structure>) -> Self {
        compile::profile(types, structure)
    }
}

/// What a profile demands of one element, beyond the base.
#[derive(Debug, Default)]
pub struct Demand {
    /// Element name, without `[x]`.
    pub name: Box<str>,
    /// Id in the profile, for sentences (`Patient.identifier:mrn`).
    pub id: Box<str>,
    /// Fewest, if more than in the base.
    pub min: u32,
    /// Most, if fewer than in the base.
    pub max: Option<u32>,
    /// Types, if fewer than in the base.
    pub types: Option<Vec<Box<str>>>,
    /// Per type: profiles of which one must be met.
    pub profiles: Vec<(Box<str>, Vec<String>)>,
    /// Per type (`Reference`, `canonical`): profiles of which the target must meet one.
    pub targets: Vec<(Box<str>, Vec<String>)>,
    /// Where a reference's target may be: `contained`, `referenced`, `bundled`; none: anywhere.
    pub aggregation: Vec<String>,
    /// Whether a reference must name a version (`specific`), or must not (`independent`).
    pub versioning: Option<String>,
    /// Bounds that extensions state.
    pub limits: Option<Limits>,
    /// Exactly this.
    pub fixed: Option<Value>,
    /// At least this.
    pub pattern: Option<Value>,
    /// Not less.
    pub min_value: Option<TypedValue>,
    /// Not more.
    pub max_value: Option<TypedValue>,
    /// Characters at most.
    pub max_length: Option<u64>,
    /// Codes.
    pub binding: Option<Bound>,
    /// Rules.
    pub invariants: Vec<Invariant>,
    /// Must be supported.
    pub must_support: bool,
    /// Below it.
    pub children: Vec<Demand>,
    /// Its slices.
    pub slicing: Option<Slicing>,
}

/// How a list is sliced, and its slices.
#[derive(Debug)]
pub struct Slicing {
    /// What of items that match none.
    pub rules: Rules,
    /// In the profile's order.
    pub ordered: bool,
    /// In order.
    pub slices: Vec<Slice>,
}

/// One slice.
#[derive(Debug)]
pub struct Slice {
    /// Its name.
    pub name: Box<str>,
    /// All must hold for an item to belong; none where it cannot be told.
    pub tests: Option<Vec<discriminator::Test>>,
    /// What it demands.
    pub demand: Demand,
}

#[cfg(test)]
mod tests;
