//! Bindings: whether codes belong to their value set, by strength. Value sets and systems that are not at hand are
//! information, never an error. <https://hl7.org/fhir/R4/terminologies.html#strength>

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::{
    place::Place,
    say::Say,
    types::{Element, Special, TypePlan},
    walk::Walk,
};
use crate::{
    definitions::{Binding, Definitions, Membership, Strength, Structure, Usage, ValueSet},
    fhir::{inner, outcome::Severity},
};

/// A binding, its value set fetched when first needed.
#[derive(Debug)]
pub struct Bound {
    /// How strictly.
    pub strength: Strength,
    /// Canonical.
    pub canonical: Box<str>,
    /// `maxValueSet` and additional bindings.
    pub further: Vec<Self>,
    /// Where there are some, it holds only in these cases.
    usage: Vec<Usage>,
    from: Option<Arc<Structure>>,
    set: OnceLock<Option<Arc<ValueSet>>>,
}

impl Bound {
    /// Bindings that demand nothing (example, or without a value set) are none. `from` is the structure that states it,
    /// which decides on versions.
    pub fn new(binding: &Binding, from: Option<&Arc<Structure>>) -> Option<Self> {
        let max = binding.max_value_set.iter().map(|canonical| Self::to(Strength::Required, canonical, from));
        let additional = binding.additional.iter().map(|one| {
            let usage = one.usage.clone();
            Self { usage, ..Self::to(one.strength, &one.value_set, from) }
        });
        let further: Vec<Self> = max.chain(additional).collect();
        let strength = if binding.value_set.is_some() { binding.strength } else { Strength::Example };
        if strength == Strength::Example && further.is_empty() {
            return None;
        }
        let canonical = binding.value_set.as_deref().unwrap_or_default();
        Some(Self { further, ..Self::to(strength, canonical, from) })
    }

    fn to(strength: Strength, canonical: &str, from: Option<&Arc<Structure>>) -> Self {
        Self {
            strength,
            canonical: canonical.into(),
            further: Vec::new(),
            usage: Vec::new(),
            from: from.cloned(),
            set: OnceLock::new(),
        }
    }

    /// The value set, if it is at hand.
    pub fn value_set(&self, definitions: &Definitions) -> Option<&Arc<ValueSet>> {
        let find = || match &self.from {
            Some(from) => definitions.value_set_from(&self.canonical, from),
            None => definitions.value_set(&self.canonical),
        };
        self.set.get_or_init(find).as_ref()
    }

    /// The same, not held against a choice that is still open: HL7's validator does not judge those by one binding.
    pub fn lenient(mut self) -> Self {
        self.strength = self.strength.min(Strength::Extensible);
        self
    }

    /// Whether the resource is one of the cases in which this holds. Cases that no resource can tell never hold.
    fn applies(&self, definitions: &Definitions, resource: Option<&Value>) -> bool {
        let holds = |case: &Usage| {
            let mut path = case.path.split('.');
            let of_type = path.next() == resource.and_then(crate::fhir::resource_type);
            of_type
                && definitions.has(&case.profile, "StructureDefinition")
                && resource.is_some_and(|resource| has_coding(resource, &path.collect::<Vec<_>>(), &case.codings))
        };
        self.usage.is_empty() || self.usage.iter().any(holds)
    }
}

/// Whether an element of the value at this path has one of the codings.
fn has_coding(value: &Value, path: &[&str], codings: &[(String, String)]) -> bool {
    if let Value::Array(items) = value {
        return items.iter().any(|item| has_coding(item, path, codings));
    }
    if let [name, rest @ ..] = path {
        let chosen = name.strip_suffix("[x]");
        let mut members = value.as_object().into_iter().flatten();
        return members.any(|(key, inner)| {
            let fits = key == name || chosen.is_some_and(|stem| key.starts_with(stem));
            fits && has_coding(inner, rest, codings)
        });
    }
    if let Some(inner) = value.get("coding") {
        return has_coding(inner, &[], codings);
    }
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    codings.iter().any(|(system, code)| match value {
        Value::String(own) => own == code,
        _ => text("code") == Some(code) && text("system").unwrap_or_default() == system,
    })
}

/// What a value's codes are with regard to a value set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// One of them belongs.
    Yes,
    /// None belongs.
    No,
    /// There is no code.
    NoCode,
    /// Cannot be decided offline.
    Unknown,
}

/// Whether a value of this kind of type has a code of the value set.
pub fn belongs(definitions: &Definitions, set: &ValueSet, special: Special, value: &Value) -> Belongs {
    let pair = |system: Option<&Value>, code: Option<&Value>| match code.and_then(Value::as_str) {
        None => Belongs::NoCode,
        Some(code) => match definitions.contains(set, system.and_then(Value::as_str).or(Some("")), code) {
            Membership::Yes => Belongs::Yes,
            Membership::No => Belongs::No,
            Membership::Unknown(_) => Belongs::Unknown,
        },
    };
    match (special, value) {
        (Special::CodeableConcept, _) => {
            let codings = inner(value, "coding").and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
            codings.iter().map(|coding| pair(inner(coding, "system"), inner(coding, "code"))).fold(
                Belongs::NoCode,
                |sum, one| match (sum, one) {
                    (Belongs::Yes, _) | (_, Belongs::Yes) => Belongs::Yes,
                    (Belongs::Unknown, _) | (_, Belongs::Unknown) => Belongs::Unknown,
                    (Belongs::No, _) | (_, Belongs::No) => Belongs::No,
                    (Belongs::NoCode, Belongs::NoCode) => Belongs::NoCode,
                },
            )
        }
        (Special::Coding | Special::Quantity, _) => pair(inner(value, "system"), inner(value, "code")),
        (_, Value::String(code)) => match definitions.contains(set, None, code) {
            Membership::Yes => Belongs::Yes,
            Membership::No => Belongs::No,
            Membership::Unknown(_) => Belongs::Unknown,
        },
        _ => Belongs::NoCode,
    }
}

impl<'a> Walk<'a> {
    /// A bound value.
    pub fn binding(
        &mut self,
        structure: &Structure,
        bound: &Bound,
        special: Special,
        value: &Value,
        resource: Option<&Value>,
        place: &Place<'_>,
    ) {
        if bound.strength != Strength::Example {
            self.bound(structure, bound, special, value, place);
        }
        for further in bound.further.iter().filter(|one| one.applies(&self.types.definitions, resource)) {
            // A maximum says which codes are allowed; whether there must be one, the binding itself says.
            let coded = || {
                further
                    .value_set(&self.types.definitions)
                    .is_none_or(|set| belongs(&self.types.definitions, set, special, value) != Belongs::NoCode)
            };
            if bound.strength >= Strength::Extensible || coded() {
                self.bound(structure, further, special, value, place);
            }
        }
    }

    /// A code that has only extensions, where one is required.
    pub fn no_code(&mut self, plan: &TypePlan, element: &Element, place: &Place<'_>) {
        let Some(bound) = element.binding.as_ref().filter(|bound| bound.strength == Strength::Required) else { return };
        let text = format!("no code is given, and one of the value set {} is required here", bound.canonical);
        self.raise(place, Some(&plan.structure), Say::error("code-invalid", "binding", text));
    }

    fn bound(&mut self, structure: &Structure, bound: &Bound, special: Special, value: &Value, place: &Place<'_>) {
        let definitions = &self.types.definitions;
        let Some(set) = bound.value_set(definitions) else {
            if bound.strength != Strength::Preferred {
                let text = format!("the value set {} is not at hand, so the code was not checked", bound.canonical);
                self.raise(place, Some(structure), Say::information("not-found", "value-set", text));
            }
            return;
        };
        let severity = match bound.strength {
            Strength::Required => Severity::Error,
            Strength::Extensible => Severity::Warning,
            Strength::Preferred | Strength::Example => Severity::Information,
        };
        let belongs = belongs(definitions, set, special, value);
        let name = if set.name.is_empty() { &*bound.canonical } else { set.name.as_str() };
        let (code, text) = match belongs {
            Belongs::Yes => return,
            Belongs::No if special == Special::None => {
                ("code-invalid", format!("this code is not one of the value set {name} ({})", bound.canonical))
            }
            Belongs::No => {
                ("code-invalid", format!("none of the codes given is in the value set {name} ({})", bound.canonical))
            }
            Belongs::NoCode if special == Special::None || severity == Severity::Information => return,
            // A unit without a code is a matter of the profile, not of the binding.
            Belongs::NoCode if special == Special::Quantity && bound.strength != Strength::Required => return,
            Belongs::NoCode => {
                ("code-invalid", format!("a code of the value set {name} is required here ({})", bound.canonical))
            }
            Belongs::Unknown if severity == Severity::Information => return,
            Belongs::Unknown => {
                let text = format!("whether the code is in the value set {name} cannot be decided offline");
                return self.raise(place, Some(structure), Say::information("not-supported", "binding", text));
            }
        };
        self.raise(place, Some(structure), Say { severity, ..Say::error(code, "binding", text) });
    }
}
