//! SearchParameter: components, what it derives from, and whether its expression is for its bases
//! (<https://hl7.org/fhir/R4/searchparameter.html>).

use serde_json::Value;

use super::{list, text};
use crate::{
    fhirpath::{Expression, Model, Type},
    profile::{place::Place, say::Say, types::TypePlan, walk::Walk},
};

impl<'a> Walk<'a> {
    /// A `SearchParameter`.
    pub fn search_parameter(&mut self, plan: &'a TypePlan, value: &'a Value, place: &Place<'_>) {
        let structure = Some(&*plan.structure);
        let kind = text(value, "type");
        if kind == Some("composite") && list(value, "component").len() < 2 {
            let sentence = "a search parameter of type composite must have two or more components";
            self.raise(place, structure, Say::error("business-rule", "search-composite", sentence));
        }
        let bases: Vec<&str> = list(value, "base").iter().filter_map(Value::as_str).collect();
        if let Some(expression) = text(value, "expression") {
            self.search_expression(plan, expression, &bases, &place.plain("expression", None));
        }
        let origin = text(value, "derivedFrom").filter(|url| self.types.definitions.has(url, "SearchParameter"));
        if let Some(origin) = origin.and_then(|url| self.types.definitions.resource(url)) {
            self.search_derived(plan, &origin, kind, &bases, place);
        }
    }

    fn search_expression(&mut self, plan: &'a TypePlan, expression: &str, bases: &[&str], place: &Place<'_>) {
        let structure = Some(&*plan.structure);
        let parsed = match Expression::parse(expression) {
            Ok(parsed) => parsed,
            Err(error) => {
                let sentence = format!("the expression cannot be read as FHIRPath: {error}");
                return self.raise(place, structure, Say::error("invalid", "search-expression", sentence));
            }
        };
        let roots: Vec<Type> = bases.iter().map(|base| self.types.root(base)).collect();
        if let Some(name) = parsed.unknown_name(self.types, &roots, Type::UNKNOWN) {
            let sentence = format!(
                "the expression asks for '{}', which the parameter's bases ({}) do not have",
                crate::profile::suggest::name(&name),
                bases.join(", ")
            );
            self.raise(place, structure, Say::error("invalid", "search-expression", sentence));
        }
    }

    fn search_derived(
        &mut self,
        plan: &'a TypePlan,
        origin: &Value,
        kind: Option<&str>,
        bases: &[&str],
        place: &Place<'_>,
    ) {
        let structure = Some(&*plan.structure);
        if let (Some(own), Some(other)) = (kind, text(origin, "type"))
            && own != other
        {
            let sentence = format!("the type {own} is not that of the parameter that this derives from ({other})");
            self.raise(place, structure, Say::error("business-rule", "search-derived", sentence));
        }
        let known: Vec<&str> = list(origin, "base").iter().filter_map(Value::as_str).collect();
        for base in bases {
            let fits = known
                .iter()
                .any(|other| other == base || self.types.is_a(self.types.root(base), self.types.root(other)));
            if !known.is_empty() && !fits {
                let sentence = format!("{base} is not a base of the parameter that this derives from");
                self.raise(place, structure, Say::error("business-rule", "search-derived", sentence));
            }
        }
    }
}
