//! What FHIRPath asks for beyond the data: references into the bundle, value sets, profiles.

use serde_json::Value;

use super::{Options, Validator, bundle::Index, types::Types, walk::Walk};
use crate::{
    definitions::{Definitions, Membership},
    fhir::{Reference, xhtml},
    fhirpath::{Coding, Conformance, Node, Resolved, Resolver, Terminology},
};

/// Resolves within the outermost bundle; beyond it, the type is taken from the reference's text.
pub struct Bundled<'b, 'a> {
    /// The bundle.
    pub index: &'b Index<'a>,
    /// Types.
    pub types: &'b Types,
    /// Where the reference stands.
    pub entry: Option<usize>,
}

impl Resolver for Bundled<'_, '_> {
    fn resolve<'r>(&'r self, reference: &str, _: Option<&'r Value>) -> Option<Resolved<'r>> {
        if let Some(found) = self.index.resolve(reference, self.entry) {
            return Some(Resolved::Resource(found.resource));
        }
        match Reference::parse(reference) {
            Reference::Literal { kind, .. } => {
                self.types.resource(kind).map(|plan| Resolved::OnlyType(plan.nodes[0].ty))
            }
            _ => None,
        }
    }
}

/// Value sets at hand.
pub struct Terms<'b> {
    /// Where they are.
    pub definitions: &'b Definitions,
}

impl Terminology for Terms<'_> {
    fn member_of(&self, value_set: &str, coding: Coding<'_>) -> Option<bool> {
        match self.definitions.value_set(value_set)?.contains(coding.system, coding.code) {
            Membership::Yes => Some(true),
            Membership::No => Some(false),
            Membership::Unknown(_) => None,
        }
    }
}

/// `conformsTo` by a validation of its own.
pub struct Profiles<'w> {
    /// Whose plans.
    pub validator: &'w Validator,
    /// As the walk that asks.
    pub options: &'w Options,
}

impl Conformance for Profiles<'_> {
    fn conforms_to(&self, node: Node<'_>, profile: &str) -> Option<bool> {
        self.validator.conforms(node.value()?, profile, self.options)
    }

    fn in_slice(&self, node: Node<'_>, profile: &str, slice: &str) -> Option<bool> {
        let plan = self.validator.profile_plan(profile)?;
        Walk::new(self.validator, node.value()?, self.options).in_slice(&plan, slice, node)
    }

    fn html(&self, text: &str) -> Option<bool> {
        Some(xhtml::is_safe(text))
    }
}
