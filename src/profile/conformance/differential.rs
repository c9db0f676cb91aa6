//! The elements of a differential: each has a place in what the profile constrains, stands in its order, and is not wider
//! than what it inherits. <https://hl7.org/fhir/R4/profiling.html>

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{list, most, number, structure::Subject, text};
use crate::{
    definitions::{Laid, Membership, Structure},
    profile::{place::Place, say::Say, suggest, walk::Walk},
};

/// Whether an id (`Patient.name:official.given`) names what the path does, slices and chosen types aside.
fn same_place(id: &str, path: &str) -> bool {
    let names = |text: &str| -> Vec<String> {
        text.split('.').map(|part| part.split(':').next().unwrap_or(part).to_owned()).collect()
    };
    let (id, path) = (names(id), names(path));
    let agree = |(id, path): (&String, &String)| {
        id == path
            || id.strip_suffix("[x]").is_some_and(|stem| path.starts_with(stem))
            || path.strip_suffix("[x]").is_some_and(|stem| id.starts_with(stem))
    };
    id.len() == path.len() && id.iter().zip(&path).all(agree)
}

/// Elements of a differential that are looked at. The largest published ones have some hundreds.
const MOST_ELEMENTS: usize = 3_000;
/// How many codes of a narrower value set are compared with the wider.
const MOST_CODES: usize = 2_000;

impl<'a> Walk<'a> {
    /// `differential`.
    pub fn differential(&mut self, subject: &Subject<'a>, differential: &'a Value, place: &Place<'_>) {
        let elements = list(differential, "element");
        let mut keys = super::constraints::Keys::default();
        for (index, element) in elements.iter().enumerate() {
            let at = place.plain("element", Some(index));
            self.element_path(subject, element, &at);
            self.type_definitions(subject, element, &at);
            self.differential_constraints(subject, element, &mut keys, &at);
        }
        if !subject.is_profile {
            for (index, element) in elements.iter().enumerate() {
                self.characteristics(subject, element, None, &place.plain("element", Some(index)));
            }
            return;
        }
        if elements.len() > MOST_ELEMENTS {
            let sentence =
                format!("with more than {MOST_ELEMENTS} elements the differential was not held against its base");
            return self.raise(place, Some(&subject.rules), Say::warning("too-costly", "not-checked", sentence));
        }
        let derived = self.types.definitions.derive(subject.value);
        for problem in &derived.problems {
            let say = Say::error("business-rule", "snapshot", format!("no snapshot can be made: {}", problem.text));
            match problem.at {
                Some(index) => self.raise(&place.plain("element", Some(index)), Some(&subject.rules), say),
                None => self.raise(place, Some(&subject.rules), say),
            }
        }
        let whole = self.types.definitions.structure_of(subject.value, &derived.elements).map(Arc::new);
        let mut last: Option<&Laid> = None;
        for (index, (element, laid)) in elements.iter().zip(&derived.laid).enumerate() {
            let at = place.plain("element", Some(index));
            let Some(inherited) = &laid.inherited else { continue };
            self.order(subject, last, laid, &at);
            last = Some(laid);
            self.wider(subject, element, inherited, &at);
            self.narrower_types(subject, element, inherited, &at);
            self.bindings(subject, element, inherited, &at);
            self.fixed_values(subject, element, inherited, &at);
            self.characteristics(subject, element, Some(inherited), &at);
            let whole = whole.as_ref().map(|whole| (whole, laid.id.as_str()));
            self.slicing_definition(subject, element, inherited, whole, &at);
        }
        if let Some(whole) = &whole {
            self.slice_counts(subject, whole, place);
        }
    }

    /// The path leads from the type that is defined.
    fn element_path(&mut self, subject: &Subject<'a>, element: &'a Value, at: &Place<'_>) {
        let Some(path) = text(element, "path") else { return };
        if path.split('.').next() != Some(subject.type_name) && !subject.type_name.is_empty() {
            let sentence = format!("the element's path must start with {}", subject.type_name);
            self.raise(at, Some(&subject.rules), Say::error("invalid", "element-path", sentence));
        }
        if let Some(id) = text(element, "id")
            && !same_place(id, path)
        {
            let sentence = "the element's id names another place than its path";
            self.raise(&at.plain("id", None), Some(&subject.rules), Say::warning("invalid", "element-id", sentence));
        }
        let allowed = path == "Extension" || path.ends_with(".extension");
        if subject.is_profile && element.get("meaningWhenMissing").is_some() && !allowed {
            let sentence = "a profile cannot say what it means that something is missing";
            self.raise(at, Some(&subject.rules), Say::error("business-rule", "element-meaning", sentence));
        }
    }

    /// In the order of what is constrained, each place once; slices only where there is slicing.
    fn order(&mut self, subject: &Subject<'a>, last: Option<&Laid>, laid: &Laid, at: &Place<'_>) {
        let sentence = match last {
            Some(last) if laid.route == last.route => "the differential says something of this element twice",
            Some(last) if laid.route < last.route => "the element is not in the order of what the profile constrains",
            _ if laid.is_unsliced => "this names a slice, but nothing says how the slices are told apart",
            _ if laid.is_closed => "the base closes its slicing, so that there can be no further slice",
            _ => return,
        };
        self.raise(at, Some(&subject.rules), Say::error("business-rule", "element-order", sentence));
    }

    /// Cardinality and must-support.
    fn wider(&mut self, subject: &Subject<'a>, element: &'a Value, inherited: &Map<String, Value>, at: &Place<'_>) {
        let path = text(element, "path").unwrap_or_default();
        let wrong = |walk: &mut Self, name: &str, rule: &'static str, sentence: String| {
            walk.raise(&at.plain(name, None), Some(&subject.rules), Say::error("business-rule", rule, sentence));
        };
        let (least, least_known) = (number(element.get("min")), number(inherited.get("min")));
        if let (Some(own), Some(known)) = (least, least_known)
            && own < known
            && element.get("sliceName").is_none()
        {
            wrong(self, "min", "element-min", format!("{path}: min {own} is less than the base's {known}"));
        }
        if let (Some(own), Some(known)) = (most(element.get("max")), most(inherited.get("max")))
            && own > known
        {
            wrong(self, "max", "element-max", format!("{path}: max is more than the base's {known}"));
        }
        let supported = |value: Option<&Value>| value.and_then(Value::as_bool);
        if supported(element.get("mustSupport")) == Some(false) && supported(inherited.get("mustSupport")) == Some(true)
        {
            let sentence = format!("{path}: the base demands support of this element, which cannot be taken back");
            wrong(self, "mustSupport", "element-must-support", sentence);
        }
    }

    /// A required binding stays required, and to codes that the base allows.
    fn bindings(&mut self, subject: &Subject<'a>, element: &'a Value, inherited: &Map<String, Value>, at: &Place<'_>) {
        let (Some(own), Some(known)) = (element.get("binding"), inherited.get("binding")) else { return };
        let at = at.plain("binding", None);
        let rank = |binding: &Value| {
            let order = ["example", "preferred", "extensible", "required"];
            text(binding, "strength").and_then(|strength| order.iter().position(|it| *it == strength))
        };
        let (Some(strength), Some(before)) = (rank(own), rank(known)) else { return };
        if strength < before {
            let sentence = "the binding is weaker than the base's";
            let say = Say::error_if(before == 3, "business-rule", "element-binding", sentence);
            return self.raise(&at.plain("strength", None), Some(&subject.rules), say);
        }
        let (Some(narrow), Some(wide)) = (text(own, "valueSet"), text(known, "valueSet")) else { return };
        if before < 3 || narrow == wide {
            return;
        }
        let definitions = &self.types.definitions;
        let (Some(narrow), Some(wide)) = (definitions.value_set(narrow), definitions.value_set(wide)) else { return };
        let beyond = narrow.expand(MOST_CODES).is_ok_and(|members| {
            members.iter().any(|one| definitions.contains(&wide, Some(&one.system), &one.code) == Membership::No)
        });
        if beyond {
            let sentence =
                format!("the value set {} has codes that the base's, {}, does not have", narrow.url, wide.url);
            self.raise(&at, Some(&subject.rules), Say::error("business-rule", "element-binding", sentence));
        }
    }

    /// What the base fixes stays as it is.
    fn fixed_values(
        &mut self,
        subject: &Subject<'a>,
        element: &'a Value,
        inherited: &Map<String, Value>,
        at: &Place<'_>,
    ) {
        let Some(members) = element.as_object() else { return };
        let Some((known_type, known)) = super::choice(inherited, "fixed") else { return };
        for prefix in ["fixed", "pattern"] {
            let Some((own_type, own)) = super::choice(members, prefix) else { continue };
            let sentence = if own_type != known_type {
                format!(
                    "the base fixes {} here, and this is {}",
                    crate::domain::a(&known_type),
                    crate::domain::a(&own_type)
                )
            } else if !crate::fhir::canonically_equal(own, known) {
                "the base fixes another value here, so that nothing could meet both".to_owned()
            } else {
                continue;
            };
            self.raise(at, Some(&subject.rules), Say::error("business-rule", "element-fixed", sentence));
        }
    }

    /// Slices together do not demand more than the list may hold, nor may one hold more.
    fn slice_counts(&mut self, subject: &Subject<'a>, whole: &Structure, place: &Place<'_>) {
        for (at, element) in whole.elements.iter().enumerate() {
            let Some(max) = element.max else { continue };
            let slices: Vec<_> = whole.slices(at).iter().map(|at| &whole.elements[*at]).collect();
            let least: u64 = slices.iter().map(|slice| u64::from(slice.min)).sum();
            if least > u64::from(max) {
                let sentence = format!("the slices of {} demand {least} together, and {max} are allowed", element.id);
                self.raise(place, Some(&subject.rules), Say::error("business-rule", "slice-counts", sentence));
            }
            for slice in slices.iter().filter(|slice| slice.max.is_none_or(|own| own > max)) {
                let name = suggest::name(slice.slice_name.as_deref().unwrap_or_default());
                let sentence = format!("the slice {name} of {} may be more than the {max} of the whole", element.id);
                self.raise(place, Some(&subject.rules), Say::warning("business-rule", "slice-counts", sentence));
            }
        }
    }
}
