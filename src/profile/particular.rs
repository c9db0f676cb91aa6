//! Rules of particular resource types that stand in FHIR's prose and that HL7's validator checks beyond structure and
//! invariants.

use serde_json::Value;

use super::{
    elements::is_absolute,
    place::Place,
    say::Say,
    types::TypePlan,
    walk::{Scope, Walk},
};

const LOINC: &str = "http://loinc.org";
const SNOMED: &str = "http://snomed.info/sct";
const PROFILES: &str = "http://hl7.org/fhir/StructureDefinition/";

/// Vital signs by code: FHIR demands the profile of whoever records one
/// (<https://hl7.org/fhir/R4/observation-vitalsigns.html>). The LOINC codes are the page's, the SNOMED CT ones name the
/// same measurements. HL7's validator takes 90 further LOINC codes for vital signs and then misses the page's code beside
/// them; Synthea's and US Core's observations of that kind are right, so they are not asked for it.
const VITAL_SIGNS: &[(&str, &str, &str)] = &[
    (LOINC, "85353-1", "vitalspanel"),
    (LOINC, "9279-1", "resprate"),
    (LOINC, "8867-4", "heartrate"),
    (LOINC, "2708-6", "oxygensat"),
    (LOINC, "8310-5", "bodytemp"),
    (LOINC, "8302-2", "bodyheight"),
    (LOINC, "9843-4", "headcircum"),
    (LOINC, "29463-7", "bodyweight"),
    (LOINC, "39156-5", "bmi"),
    (LOINC, "85354-9", "bp"),
    (SNOMED, "86290005", "resprate"),
    (SNOMED, "364075005", "heartrate"),
    (SNOMED, "431314004", "oxygensat"),
    (SNOMED, "386725007", "bodytemp"),
    (SNOMED, "276885007", "bodytemp"),
    (SNOMED, "50373000", "bodyheight"),
    (SNOMED, "363812007", "headcircum"),
    (SNOMED, "27113001", "bodyweight"),
    (SNOMED, "60621009", "bmi"),
    (SNOMED, "75367002", "bp"),
];

impl<'a> Walk<'a> {
    /// Rules of particular types that stand in FHIR's prose.
    pub fn particular(&mut self, plan: &'a TypePlan, value: &'a Value, place: &Place<'_>, scope: &Scope<'a>) {
        if plan.is_canonical {
            self.canonical_resource(value, place, scope);
        }
        match plan.structure.type_name.as_str() {
            "Bundle" => self.bundle(plan, value, place),
            "Measure" => self.measure(value, place),
            "MeasureReport" => self.measure_report(value, place, scope),
            "Observation" => {
                self.observation(plan, value, place);
                self.vital_sign(value, place, scope);
            }
            "Questionnaire" => self.questionnaire(value, place),
            "QuestionnaireResponse" => self.questionnaire_response(value, place, scope),
            "CodeSystem" => self.code_system(plan, value, place),
            "ValueSet" => self.value_set(plan, value, place),
            "CapabilityStatement" => self.capability_statement(plan, value, place),
            "ConceptMap" => self.concept_map(plan, value, place),
            "OperationDefinition" => self.operation_definition(plan, value, place),
            "SearchParameter" => self.search_parameter(plan, value, place),
            "StructureDefinition" => self.structure_definition(plan, value, place),
            _ => {}
        }
    }

    /// Whatever has a canonical URL must have an absolute one.
    fn canonical_resource(&mut self, value: &'a Value, place: &Place<'_>, scope: &Scope<'a>) {
        let Some(url) = value.get("url").and_then(Value::as_str) else { return };
        let within = url.starts_with('#') && scope.contained_index.is_some();
        if !is_absolute(url) && !within {
            let text = "a canonical URL must be absolute";
            self.raise(&place.plain("url", None), None, Say::error("invalid", "canonical-url", text));
        }
        if self.options.for_publication {
            self.publication(value, place);
        }
        if self.options.no_experimental_content && value.get("experimental") == Some(&Value::Bool(true)) {
            let text = "experimental content is not allowed here";
            self.raise(&place.plain("experimental", None), None, Say::error("business-rule", "experimental", text));
        }
    }

    /// HL7's rules for what HL7 publishes.
    fn publication(&mut self, value: &'a Value, place: &Place<'_>) {
        let url = value.get("url").and_then(Value::as_str).unwrap_or_default();
        let publisher = value.get("publisher").and_then(Value::as_str).unwrap_or_default();
        let by_hl7 = url.contains("hl7.org/") || publisher.starts_with("HL7");
        if !by_hl7 {
            return;
        }
        let extension = |url: &str| {
            value
                .get("extension")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .find(|it| it.get("url").is_some_and(|own| own == url))
        };
        if extension("http://hl7.org/fhir/StructureDefinition/structuredefinition-wg").is_none() {
            let text = "what HL7 publishes must name its committee with the extension structuredefinition-wg";
            self.raise(place, None, Say::error("business-rule", "publication-committee", text));
        }
        for name in ["name", "title", "description", "experimental", "contact"] {
            if value.get(name).is_none() {
                let text = format!("'{name}' should be given in what is published");
                self.raise(place, None, Say::warning("required", "publication", text));
            }
        }
    }

    /// A vital sign must meet its profile, claimed or not.
    fn vital_sign(&mut self, value: &'a Value, place: &Place<'_>, scope: &Scope<'a>) {
        let codings = value.get("code").and_then(|code| code.get("coding")).and_then(Value::as_array);
        for coding in codings.into_iter().flatten() {
            let text = |name: &str| coding.get(name).and_then(Value::as_str).unwrap_or_default();
            let (system, code) = (text("system"), text("code"));
            let found = VITAL_SIGNS.iter().find(|sign| sign.0 == system && sign.1 == code);
            if let Some((_, _, profile)) = found {
                return self.profile(&format!("{PROFILES}{profile}"), scope.resource, place, scope, false);
            }
        }
    }

    /// What every observation should say, as a recommendation.
    fn observation(&mut self, plan: &'a TypePlan, value: &'a Value, place: &Place<'_>) {
        let Some(severity) = self.options.best_practice.severity() else { return };
        let effective = ["effectiveDateTime", "effectivePeriod", "effectiveTiming", "effectiveInstant"];
        for (there, text) in [
            (value.get("subject").is_some(), "an observation should say whom it is about (subject)"),
            (value.get("performer").is_some(), "an observation should say who made it (performer)"),
            (
                effective.iter().any(|name| value.get(*name).is_some()),
                "an observation should say when it was made (effective[x])",
            ),
        ] {
            if !there {
                let say = Say { severity, ..Say::warning("business-rule", "best-practice", text) };
                self.raise(place, Some(&plan.structure), say);
            }
        }
    }
}
