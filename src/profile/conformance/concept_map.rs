//! ConceptMap: codes exist in the code systems that are mapped, and belong to the value sets that are mapped
//! (<https://hl7.org/fhir/R4/conceptmap.html>). Systems that are not wholly at hand decide nothing.

use std::sync::Arc;

use serde_json::Value;

use super::{list, text};
use crate::{
    definitions::{CodeSystem, Membership, ValueSet},
    profile::{codes::no_such_code, place::Place, say::Say, types::TypePlan, walk::Walk},
};

/// One side of a map.
struct Side {
    url: String,
    system: Option<Arc<CodeSystem>>,
    scope: Option<Arc<ValueSet>>,
}

impl<'a> Walk<'a> {
    /// A `ConceptMap`.
    pub fn concept_map(&mut self, plan: &'a TypePlan, value: &'a Value, place: &Place<'_>) {
        for (index, group) in list(value, "group").iter().enumerate() {
            let at = place.plain("group", Some(index));
            let [source, target] = ["source", "target"].map(|name| self.side(value, group, name));
            for (index, element) in list(group, "element").iter().enumerate() {
                let at = at.plain("element", Some(index));
                self.mapped(plan, &source, element, &at);
                for (index, to) in list(element, "target").iter().enumerate() {
                    self.mapped(plan, &target, to, &at.plain("target", Some(index)));
                }
            }
        }
    }

    fn side(&self, map: &Value, group: &Value, name: &str) -> Side {
        let definitions = &self.types.definitions;
        let url = text(group, name).unwrap_or_default().to_owned();
        let versioned = text(group, &format!("{name}Version")).map(|version| format!("{url}|{version}"));
        let scope = text(map, &format!("{name}Canonical")).or_else(|| text(map, &format!("{name}Uri")));
        Side {
            system: definitions.code_system(versioned.as_deref().unwrap_or(&url)).filter(|system| system.is_complete),
            scope: scope.and_then(|scope| definitions.value_set(scope)),
            url,
        }
    }

    fn mapped(&mut self, plan: &'a TypePlan, side: &Side, element: &'a Value, place: &Place<'_>) {
        let (Some(code), Some(system)) = (text(element, "code"), &side.system) else { return };
        let at = place.plain("code", None);
        let say = match system.concept(code) {
            None => Say::error_if(!system.may_have_more, "code-invalid", "concept-map-code", no_such_code(system)),
            Some(concept) => {
                let display = text(element, "display");
                if display.is_some_and(|display| !concept.is_called(display)) {
                    let sentence = format!("the code system {} calls this code otherwise", side.url);
                    let say = Say::warning("business-rule", "display", sentence);
                    self.raise(&place.plain("display", None), Some(&plan.structure), say);
                }
                let outside = side.scope.as_ref().filter(|set| set.contains(Some(&side.url), code) == Membership::No);
                let Some(set) = outside else { return };
                let sentence = format!("this code is not in the value set that is mapped, {}", set.url);
                Say::error("code-invalid", "concept-map-code", sentence)
            }
        };
        self.raise(&at, Some(&plan.structure), say);
    }
}
