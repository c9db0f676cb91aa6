//! CapabilityStatement: a search parameter has the type that its definition says
//! (<https://hl7.org/fhir/R4/capabilitystatement.html>).

use serde_json::Value;

use super::{list, text};
use crate::profile::{place::Place, say::Say, types::TypePlan, walk::Walk};

impl<'a> Walk<'a> {
    /// A `CapabilityStatement`.
    pub fn capability_statement(&mut self, plan: &'a TypePlan, value: &'a Value, place: &Place<'_>) {
        for (index, rest) in list(value, "rest").iter().enumerate() {
            let at = place.plain("rest", Some(index));
            self.search_parameters(plan, rest, &at);
            for (index, resource) in list(rest, "resource").iter().enumerate() {
                self.search_parameters(plan, resource, &at.plain("resource", Some(index)));
            }
        }
    }

    fn search_parameters(&mut self, plan: &'a TypePlan, owner: &'a Value, place: &Place<'_>) {
        for (index, parameter) in list(owner, "searchParam").iter().enumerate() {
            let (Some(canonical), Some(own)) = (text(parameter, "definition"), text(parameter, "type")) else {
                continue;
            };
            let definitions = &self.types.definitions;
            let known =
                definitions.has(canonical, "SearchParameter").then(|| definitions.resource(canonical)).flatten();
            let Some(defined) = known.as_ref().and_then(|known| text(known, "type")).filter(|known| *known != own)
            else {
                continue;
            };
            let sentence = format!("the definition of this search parameter says that it is a {defined}, not a {own}");
            let at = place.plain("searchParam", Some(index));
            self.raise(&at, Some(&plan.structure), Say::error("invalid", "search-parameter-type", sentence));
        }
    }
}
