//! Where a reference's target may be (contained, bundled, elsewhere), and whether the reference names a version.
//! <https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.type.aggregation>

use serde_json::Value;

use super::Demand;
use crate::{
    definitions::Structure,
    fhirpath::Node,
    profile::{
        place::Place,
        say::Say,
        walk::{Scope, Walk},
    },
};

impl<'a> Walk<'a> {
    /// A reference against the aggregation and versioning that a profile demands.
    pub(super) fn aggregation(
        &mut self,
        structure: &Structure,
        demand: &Demand,
        node: Node<'a>,
        place: &Place<'_>,
        scope: &Scope<'a>,
    ) {
        let Some(text) = node.value().and_then(|value| value.get("reference")).and_then(Value::as_str) else { return };
        if !demand.aggregation.is_empty() {
            // What is in the bundle is also referred to.
            let modes: &[&str] = if text.starts_with('#') {
                &["contained"]
            } else if self.follow(text, scope).is_some() {
                &["bundled", "referenced"]
            } else {
                &["referenced"]
            };
            if !demand.aggregation.iter().any(|allowed| modes.contains(&allowed.as_str())) {
                let text = format!(
                    "{} must lead to something that is {}, and this is {}",
                    demand.id,
                    demand.aggregation.join(" or "),
                    modes[0]
                );
                self.raise(place, Some(structure), Say::error("structure", "aggregation", text));
            }
        }
        let versioned = text.contains("/_history/");
        let text = match demand.versioning.as_deref() {
            Some("specific") if !versioned => "the profile asks for a reference to a particular version",
            Some("independent") if versioned => "the profile asks for a reference that names no version",
            _ => return,
        };
        self.raise(place, Some(structure), Say::warning("structure", "versioning", text));
    }
}
