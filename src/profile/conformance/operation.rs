//! OperationDefinition: the profiles on Parameters that it says its input and output meet, and its parameters, say the
//! same. <https://hl7.org/fhir/R4/operationdefinition.html>

use std::sync::Arc;

use serde_json::Value;

use super::{list, most, number, text};
use crate::{
    definitions::{Element, Structure},
    profile::{place::Place, say::Say, suggest, types::TypePlan, walk::Walk},
};

impl<'a> Walk<'a> {
    /// An `OperationDefinition`.
    pub fn operation_definition(&mut self, plan: &'a TypePlan, value: &'a Value, place: &Place<'_>) {
        for (name, used) in [("inputProfile", "in"), ("outputProfile", "out")] {
            let Some(canonical) = text(value, name) else { continue };
            let at = place.plain(name, None);
            let profile = self.types.definitions.structure(canonical);
            let sentence = match &profile {
                None => format!("the profile {} is not at hand", suggest::name(canonical)),
                Some(profile) if profile.type_name != "Parameters" => {
                    format!("{} is a profile of {}, not of Parameters", profile.url, profile.type_name)
                }
                Some(profile) => {
                    self.parameters(plan, value, profile, used, place);
                    continue;
                }
            };
            self.raise(&at, Some(&plan.structure), Say::error("invalid", "operation-profile", sentence));
        }
    }

    /// Each slice of the profile against the parameter of that name.
    fn parameters(
        &mut self,
        plan: &'a TypePlan,
        value: &'a Value,
        profile: &Arc<Structure>,
        used: &str,
        place: &Place<'_>,
    ) {
        let Some(whole) = profile.index_of("Parameters.parameter") else { return };
        for slice in profile.slices(whole) {
            let Some(name) = fixed_name(profile, *slice) else { continue };
            let parameters = list(value, "parameter").iter().enumerate();
            let of_name = |(_, it): &(usize, &Value)| text(it, "name") == Some(&name) && text(it, "use") == Some(used);
            let Some((index, parameter)) = parameters.into_iter().find(of_name) else {
                let sentence = format!("the profile has a parameter {} that is not defined here", suggest::name(&name));
                self.raise(place, Some(&plan.structure), Say::warning("business-rule", "operation-profile", sentence));
                continue;
            };
            let at = place.plain("parameter", Some(index));
            if let Some(sentence) = differs(&profile.elements[*slice], parameter) {
                self.raise(&at, Some(&plan.structure), Say::error("invalid", "operation-profile", sentence));
            }
        }
    }
}

/// The name that a slice of `Parameters.parameter` fixes.
fn fixed_name(profile: &Structure, slice: usize) -> Option<String> {
    let mut children = profile.children(slice).iter().map(|at| &profile.elements[*at]);
    let name: &Element = children.find(|element| element.name() == "name")?;
    let stated = name.fixed.as_ref().or(name.pattern.as_ref())?;
    stated.value.as_str().map(str::to_owned)
}

fn differs(slice: &Element, parameter: &Value) -> Option<String> {
    if number(parameter.get("min")).is_some_and(|min| min != u64::from(slice.min)) {
        return Some(format!("its min is not the {} of the profile", slice.min));
    }
    let max = slice.max.map_or(u64::MAX, u64::from);
    most(parameter.get("max")).is_some_and(|own| own != max).then(|| "its max is not that of the profile".to_owned())
}
