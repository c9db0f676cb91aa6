//! What a profile demands of references: which profiles their targets meet. How they lead there: `aggregation`
//! (<https://hl7.org/fhir/R4/elementdefinition.html#ElementDefinition.type>).

use crate::{
    definitions::Structure,
    fhir::inner as member_of,
    fhirpath::{Model, Node},
    profile::{
        place::Place,
        say::Say,
        suggest,
        walk::{Scope, Walk},
    },
};

impl<'a> Walk<'a> {
    /// A reference's target must be of the right type and, where it is at hand, meet one of the profiles.
    pub(super) fn target_profiles(
        &mut self,
        structure: &Structure,
        targets: &[String],
        node: Node<'a>,
        place: &Place<'_>,
        scope: &Scope<'a>,
    ) {
        let Some(value) = node.value() else { return };
        let text = member_of(value, "reference").and_then(serde_json::Value::as_str);
        let led = text.and_then(|text| self.follow(text, scope));
        let Some((led, inner)) = led.and_then(|led| Some((led, self.led_scope(led, scope)?))) else {
            let kind = text.map(crate::fhir::Reference::parse);
            if let Some(crate::fhir::Reference::Literal { kind, .. }) = kind
                && self.types.resource(kind).is_some()
            {
                self.target_type(targets, kind, place);
            }
            return;
        };
        let kind = self.types.name(inner.resource.ty());
        for target in targets {
            if self.validator.profile_plan(target).is_none() {
                let text = format!("the profile {} that the target must meet is not at hand", suggest::name(target));
                self.raise(place, Some(structure), Say::error("not-found", "profile", text));
            }
        }
        let _ = led;
        let fitting: Vec<&String> = targets
            .iter()
            .filter(|target| {
                self.validator.profile_plan(target).is_some_and(|plan| {
                    plan.structure.type_name == kind
                        || self.types.is_a(inner.resource.ty(), self.types.root(&plan.structure.type_name))
                })
            })
            .collect();
        if fitting.is_empty() {
            return self.target_type(targets, kind, place);
        }
        if !fitting.iter().any(|target| self.meets(target, inner.resource, place, &inner)) {
            let text =
                format!("the {kind} that this leads to meets none of the profiles asked for: {}", targets.join(", "));
            self.raise(place, Some(structure), Say::error("structure", "target-profile", text));
        }
    }
}
