//! StructureDefinition: whether a differential fits what it constrains
//! (<https://hl7.org/fhir/R4/structuredefinition.html>).

use std::sync::Arc;

use serde_json::Value;

use super::{list, text};
use crate::{
    definitions::{Element, Structure},
    profile::{place::Place, say::Say, types::TypePlan, walk::Walk},
};

/// Types whose values codes can be bound to.
const BINDABLE: &[&str] = &[
    "code",
    "Coding",
    "CodeableConcept",
    "Quantity",
    "string",
    "uri",
    "Duration",
    "Age",
    "Count",
    "Distance",
    "Money",
    "SimpleQuantity",
    "MoneyQuantity",
    "canonical",
    "url",
    "markdown",
    "Extension",
    "Reference",
    "CodeableReference",
];

impl<'a> Walk<'a> {
    /// A `StructureDefinition`.
    pub fn structure_definition(&mut self, plan: &'a TypePlan, value: &'a Value, place: &Place<'_>) {
        let base = text(value, "baseDefinition").and_then(|url| self.types.definitions.structure(url));
        let is_profile = text(value, "derivation") == Some("constraint");
        let Some(differential) = value.get("differential") else { return };
        let at = place.plain("differential", None);
        let kind = text(value, "type").unwrap_or_default();
        if let Some(base) = base.as_ref().filter(|_| is_profile)
            && base.type_name != kind
            && !kind.is_empty()
        {
            let sentence =
                format!("a profile of a {} must have the type {}, not {kind}", base.type_name, base.type_name);
            self.raise(place, Some(&plan.structure), Say::error("business-rule", "profile-type", sentence));
        }
        for (index, element) in list(differential, "element").iter().enumerate() {
            let at = at.plain("element", Some(index));
            let path = text(element, "path").unwrap_or_default();
            if path.split('.').next() != Some(kind) && !kind.contains('/') {
                let sentence = format!("the element's path must start with {kind}");
                self.raise(&at, Some(&plan.structure), Say::error("invalid", "element-path", sentence));
                continue;
            }
            let Some(base) = base.as_ref().filter(|_| is_profile) else { continue };
            let Some(found) = self.defined(base, path) else {
                let sentence = format!("there is no element {path} in what this profile constrains");
                self.raise(&at, Some(&plan.structure), Say::error("business-rule", "element-path", sentence));
                continue;
            };
            self.element_definition(plan, element, &found, &at);
        }
    }

    /// The element that a path leads to, through data types where the base has no such element itself.
    fn defined(&self, base: &Arc<Structure>, path: &str) -> Option<Found> {
        let mut parts = path.split('.');
        parts.next()?;
        let mut found = Found { structure: Arc::clone(base), at: 0 };
        for part in parts {
            found = self.child_of(&found, part)?;
        }
        Some(found)
    }

    fn child_of(&self, parent: &Found, name: &str) -> Option<Found> {
        let named = |structure: &Arc<Structure>, at: usize| {
            let fits = |child: &&usize| {
                let element = &structure.elements[**child];
                let chosen = element.choice().is_some_and(|choice| {
                    name.strip_prefix(choice).is_some_and(|rest| {
                        element.types.iter().any(|ty| ty.code.eq_ignore_ascii_case(rest))
                            || rest == "[x]"
                            || rest.is_empty()
                    })
                });
                element.name() == name || chosen
            };
            structure.children(at).iter().find(fits).map(|at| Found { structure: Arc::clone(structure), at: *at })
        };
        if let Some(found) = named(&parent.structure, parent.at) {
            return Some(found);
        }
        let element = parent.element();
        if let Some(reference) = &element.content_reference {
            let at = parent.structure.index_of(reference.rsplit('#').next()?)?;
            return named(&parent.structure, at);
        }
        element.types.iter().find_map(|ty| {
            let profile = ty.profiles.first().and_then(|url| self.types.definitions.structure(url));
            let inner = profile.or_else(|| self.types.definitions.base_type(&ty.code))?;
            named(&inner, 0)
        })
    }

    fn element_definition(&mut self, plan: &'a TypePlan, element: &'a Value, base: &Found, place: &Place<'_>) {
        let structure = Some(&*plan.structure);
        let own: Vec<&str> = list(element, "type").iter().filter_map(|ty| text(ty, "code")).collect();
        let known = base.element();
        let codes: Vec<&str> =
            if own.is_empty() { known.types.iter().map(|ty| ty.code.as_str()).collect() } else { own.clone() };
        if element.get("binding").is_some() && !codes.is_empty() && !codes.iter().any(|code| BINDABLE.contains(code)) {
            let sentence = format!("an element of type {} cannot have a binding", codes.join(" or "));
            self.raise(place, structure, Say::error("business-rule", "element-binding", sentence));
        }
        let fixed = element.as_object().into_iter().flatten().find(|(key, _)| key.starts_with("fixed"));
        if let (Some((_, fixed)), Some(other)) = (fixed, &known.fixed)
            && !crate::fhir::canonically_equal(fixed, &other.value)
        {
            let sentence = "the base fixes another value here, so that nothing could meet both";
            self.raise(place, structure, Say::error("business-rule", "element-fixed", sentence));
        }
        let any = known.types.is_empty()
            || known.types.iter().any(|ty| matches!(ty.code.as_str(), "*" | "Element" | "Resource" | "DomainResource"));
        for code in
            own.iter().filter(|code| !any && !known.types.iter().any(|ty| ty.code == **code) && !code.contains('/'))
        {
            let sentence = format!("the type {code} is not one that the base allows here");
            self.raise(place, structure, Say::error("business-rule", "element-type", sentence));
        }
        for (index, discriminator) in
            list(element.get("slicing").unwrap_or(&Value::Null), "discriminator").iter().enumerate()
        {
            let Some(path) = text(discriminator, "path") else { continue };
            if !self.leads_somewhere(base, path) {
                let slicing = place.plain("slicing", None);
                let at = slicing.plain("discriminator", Some(index));
                let sentence = format!(
                    "the discriminator path '{}' leads nowhere from {}",
                    crate::profile::suggest::name(path),
                    known.path
                );
                self.raise(&at, structure, Say::error("invalid", "discriminator", sentence));
            }
        }
    }

    /// Whether a discriminator's path, as far as plain names go, exists below an element.
    fn leads_somewhere(&self, from: &Found, path: &str) -> bool {
        let mut found = from.clone();
        for part in path.split('.') {
            if part == "$this" {
                continue;
            }
            if part.contains('(') {
                return true;
            }
            match self.child_of(&found, part) {
                Some(next) => found = next,
                None => {
                    return found
                        .element()
                        .types
                        .iter()
                        .any(|ty| matches!(ty.code.as_str(), "Resource" | "DomainResource"));
                }
            }
        }
        true
    }
}

/// An element of a structure.
#[derive(Clone)]
struct Found {
    structure: Arc<Structure>,
    at: usize,
}

impl Found {
    fn element(&self) -> &Element {
        &self.structure.elements[self.at]
    }
}
