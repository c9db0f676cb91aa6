//! Profiles, laid over a resource that was walked against its base types.

use std::sync::Arc;

use super::{
    place::Place,
    say::Say,
    walk::{Scope, Walk},
};
use crate::{definitions::Structure, fhirpath::Node};

impl<'a> Walk<'a> {
    /// Lays the profile with this canonical over `focus`.
    pub fn profile(&mut self, canonical: &str, focus: Node<'a>, place: &Place<'_>, scope: &Scope<'a>, asked: bool) {
        let Some(structure) = self.types.definitions.structure(canonical) else {
            let text = format!("the profile {} is not at hand, so it was not checked", super::suggest::name(canonical));
            let say = if asked {
                Say::error("not-found", "profile", text)
            } else {
                Say::warning("not-found", "profile", text)
            };
            return self.raise(place, None, say);
        };
        self.structure_profile(&structure, focus, place, scope);
    }

    /// Lays one of several profiles over `focus`.
    pub fn any_profile(&mut self, profiles: &[String], focus: Node<'a>, place: &Place<'_>, scope: &Scope<'a>) {
        if let [profile] = profiles {
            self.profile(profile, focus, place, scope, false);
        }
    }

    /// Lays a profile over `focus`.
    pub fn structure_profile(
        &mut self,
        structure: &Arc<Structure>,
        focus: Node<'a>,
        place: &Place<'_>,
        scope: &Scope<'a>,
    ) {
        let _ = (structure, focus, place, scope);
    }
}
