//! Definitions with one thing wrong each, beside the same definition without it: the issue must be there and alone.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::{
    definitions::Definitions,
    profile::{Options, Validator},
};

fn validator() -> &'static Validator {
    static VALIDATOR: std::sync::LazyLock<Validator> = std::sync::LazyLock::new(|| Validator::new(Definitions::core()));
    &VALIDATOR
}

/// Rules of errors, with places.
pub fn errors_of(validator: &Validator, resource: &Value) -> Vec<(String, String)> {
    let report = validator.validate(resource, &Options::default());
    report.errors().map(|issue| (issue.rule.to_string(), issue.expression.clone())).collect()
}

pub fn errors(resource: &Value) -> Vec<(String, String)> {
    errors_of(validator(), resource)
}

/// Exactly this error; `place` without the resource type.
#[track_caller]
pub fn one(resource: &Value, rule: &str, place: &str) {
    let kind = resource["resourceType"].as_str().unwrap_or_default();
    let at = if place.is_empty() { kind.to_owned() } else { format!("{kind}.{place}") };
    assert_eq!(errors(resource), [(rule.to_owned(), at)], "{resource}");
}

#[track_caller]
pub fn none(resource: &Value) {
    assert_eq!(errors(resource), [], "{resource}");
}

/// A profile on Observation (or whatever `more` says) with these differential elements.
fn profile(elements: Value) -> Value {
    json!({"resourceType": "StructureDefinition", "url": "http://t.org/StructureDefinition/p", "version": "1.0.0",
        "name": "P", "status": "draft", "kind": "resource", "abstract": false, "type": "Observation",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Observation", "derivation": "constraint",
        "differential": {"element": elements}})
}

fn with(mut resource: Value, name: &str, value: Value) -> Value {
    resource[name] = value;
    resource
}

/// One differential element with id and path alike.
fn element(path: &str, more: Value) -> Value {
    let mut made = json!({"id": path, "path": path});
    for (name, value) in more.as_object().into_iter().flatten() {
        made[name] = value.clone();
    }
    made
}

const AT: &str = "differential.element[0]";

#[test]
fn type_kind_and_derivation_agree_with_the_base() {
    let good = profile(json!([element("Observation.code", json!({"short": "x"}))]));
    none(&good);
    one(&with(good.clone(), "kind", json!("complex-type")), "profile-type", "kind");
    let other = with(profile(json!([element("Patient", json!({"short": "x"}))])), "type", json!("Patient"));
    let rules: Vec<String> = errors(&other).into_iter().map(|(rule, _)| rule).collect();
    assert!(rules.contains(&"profile-type".to_owned()), "{rules:?}");
    let same = with(good.clone(), "derivation", json!("specialization"));
    assert!(errors(&same).contains(&("profile-type".to_owned(), "StructureDefinition.type".to_owned())));
    let mut none_said = good;
    none_said.as_object_mut().unwrap().remove("derivation");
    assert!(errors(&none_said).contains(&("profile-type".to_owned(), "StructureDefinition.derivation".to_owned())));
}

#[test]
fn elements_have_a_place_and_an_order() {
    one(&profile(json!([element("Observation.colour", json!({"short": "x"}))])), "snapshot", AT);
    assert!(
        errors(&profile(json!([element("Patient.name", json!({"short": "x"}))])))
            .contains(&("element-path".into(), format!("StructureDefinition.{AT}")))
    );
    none(&profile(json!([element("Observation.code.coding.system", json!({"min": 1}))])));
    none(&profile(json!([element("Observation.valueQuantity", json!({"min": 1}))])));
    let (status, code) =
        (element("Observation.status", json!({"short": "x"})), element("Observation.code", json!({"short": "x"})));
    none(&profile(json!([status, code])));
    one(&profile(json!([code, status])), "element-order", "differential.element[1]");
    assert!(
        errors(&profile(json!([code, code])))
            .contains(&("element-order".into(), "StructureDefinition.differential.element[1]".into()))
    );
}

#[test]
fn nothing_is_wider_than_the_base() {
    none(&profile(json!([element("Observation.subject", json!({"min": 1, "max": "1"}))])));
    one(
        &profile(json!([element("Observation.status", json!({"min": 0, "max": "1"}))])),
        "element-min",
        "differential.element[0].min",
    );
    one(
        &profile(json!([element("Observation.subject", json!({"max": "*"}))])),
        "element-max",
        "differential.element[0].max",
    );
    one(&profile(json!([element("Observation.status", json!({"max": "0"}))])), "snapshot", AT);
    one(
        &profile(json!([element("Observation.value[x]", json!({"type": [{"code": "Address"}]}))])),
        "element-type",
        "differential.element[0].type[0]",
    );
    none(&profile(json!([element("Observation.value[x]", json!({"type": [{"code": "Quantity"}]}))])));
    let patient = "http://hl7.org/fhir/StructureDefinition/Patient";
    let to = |code: &str, url: &str| json!({"type": [{"code": code, "targetProfile": [url]}]});
    none(&profile(json!([element("Observation.subject", to("Reference", patient))])));
    let practitioner = "http://hl7.org/fhir/StructureDefinition/Practitioner";
    one(
        &profile(json!([element("Observation.subject", to("Reference", practitioner))])),
        "target-profile",
        "differential.element[0].type[0].targetProfile[0]",
    );
}

#[test]
fn bindings_are_kept() {
    let bind = |strength: &str, set: &str| json!({"binding": {"strength": strength, "valueSet": set}});
    let status = "http://hl7.org/fhir/ValueSet/observation-status";
    none(&profile(json!([element("Observation.status", bind("required", status))])));
    one(
        &profile(json!([element("Observation.status", bind("extensible", status))])),
        "element-binding",
        "differential.element[0].binding.strength",
    );
    let gender = "http://hl7.org/fhir/ValueSet/administrative-gender";
    one(
        &profile(json!([element("Observation.status", bind("required", gender))])),
        "element-binding",
        "differential.element[0].binding",
    );
    none(&profile(json!([element("Observation.code", bind("required", gender))])));
    let system = "http://hl7.org/fhir/administrative-gender";
    one(
        &profile(json!([element("Observation.code", bind("required", system))])),
        "canonical-target",
        "differential.element[0].binding.valueSet",
    );
    one(&profile(json!([element("Observation.subject", bind("required", gender))])), "element-binding", AT);
}

#[test]
fn demands_suit_the_types() {
    none(&profile(json!([element("Observation.code.text", json!({"maxLength": 10}))])));
    one(&profile(json!([element("Observation.code", json!({"maxLength": 10}))])), "element-max-length", AT);
    none(&profile(json!([element("Observation.status", json!({"fixedCode": "final"}))])));
    one(&profile(json!([element("Observation.status", json!({"fixedString": "final"}))])), "element-value-type", AT);
    one(
        &profile(json!([element("Observation.code", json!({"patternCoding": {"code": "x"}}))])),
        "element-value-type",
        AT,
    );
    one(&profile(json!([element("Observation.status", json!({"minValueInteger": 1}))])), "element-bounds", AT);
    none(&profile(json!([element("Observation.issued", json!({"minValueInstant": "2020-01-01T00:00:00Z"}))])));
}

#[test]
fn profiles_of_types_are_of_those_types() {
    let typed = |code: &str, profile: &str| json!({"sliceName": "x", "type": [{"code": code, "profile": [format!("http://hl7.org/fhir/StructureDefinition/{profile}")]}]});
    let slice = |path: &str, of: &str| {
        let mut made = element(path, typed("Extension", of));
        made["id"] = json!(format!("{path}:x"));
        made
    };
    none(&profile(json!([slice("Observation.extension", "data-absent-reason")])));
    one(
        &profile(json!([slice("Observation.extension", "SimpleQuantity")])),
        "type-profile",
        "differential.element[0].type[0].profile[0]",
    );
    one(
        &profile(json!([slice("Observation.modifierExtension", "data-absent-reason")])),
        "type-profile",
        "differential.element[0].type[0].profile[0]",
    );
    let quantity =
        json!({"type": [{"code": "Quantity", "targetProfile": ["http://hl7.org/fhir/StructureDefinition/Patient"]}]});
    let place = "StructureDefinition.differential.element[0].type[0].targetProfile[0]";
    assert!(
        errors(&profile(json!([element("Observation.value[x]", quantity)])))
            .contains(&("target-profile".into(), place.into()))
    );
}

#[test]
fn slicing_has_rules_of_its_own() {
    let by =
        |kind: &str, path: &str| json!({"slicing": {"discriminator": [{"type": kind, "path": path}], "rules": "open"}});
    let slice = |path: &str, name: &str, more: Value| {
        let mut made = element(path, more);
        (made["id"], made["sliceName"]) = (json!(format!("{path}:{name}")), json!(name));
        made
    };
    let list = element("Observation.category", by("value", "coding.code"));
    none(&profile(json!([list, slice("Observation.category", "a", json!({"min": 1}))])));
    one(&profile(json!([slice("Observation.category", "a", json!({"min": 1}))])), "element-order", AT);
    one(
        &profile(json!([element("Observation.category", by("value", "coding.cod"))])),
        "discriminator",
        "differential.element[0].slicing.discriminator[0]",
    );
    one(
        &profile(json!([element("Observation.code", by("value", "coding.code"))])),
        "slicing",
        "differential.element[0].slicing",
    );
    none(&profile(json!([element("Observation.value[x]", by("type", "$this"))])));
    let two = element(
        "Observation.category",
        json!({"max": "1", "slicing": {"discriminator": [{"type": "value", "path": "coding.code"}], "rules": "open"}}),
    );
    let (a, b) = (
        slice("Observation.category", "a", json!({"min": 1, "max": "1"})),
        slice("Observation.category", "b", json!({"min": 1, "max": "1"})),
    );
    one(&profile(json!([two, a, b])), "slice-counts", "differential");
    let narrow = with(
        profile(json!([element("Observation.category", by("value", "text"))])),
        "baseDefinition",
        json!("http://hl7.org/fhir/StructureDefinition/vitalsigns"),
    );
    one(&narrow, "slicing", "differential.element[0].slicing");
}

#[test]
fn constraints_can_be_read_and_have_keys_of_their_own() {
    let rule = |key: &str, expression: &str| json!({"constraint": [{"key": key, "severity": "error", "human": "x", "expression": expression}]});
    none(&profile(json!([element("Observation", rule("t-1", "code.exists() and component.all(code.exists())"))])));
    one(
        &profile(json!([element("Observation", rule("t-1", "code.exists( and"))])),
        "constraint-expression",
        "differential.element[0].constraint[0].expression",
    );
    one(
        &profile(json!([element("Observation", rule("obs-7", "code.exists()"))])),
        "constraint-key",
        "differential.element[0].constraint[0]",
    );
    let mut foreign = element("Observation", rule("t-1", "code.exists()"));
    foreign["constraint"][0]["source"] = json!("http://other.org/x");
    one(&profile(json!([foreign])), "constraint-source", "differential.element[0].constraint[0]");
    let twice = [
        element("Observation", rule("t-1", "code.exists()")),
        element("Observation.component", rule("t-1", "value.exists()")),
    ];
    one(&profile(json!(twice)), "constraint-key", "differential.element[1].constraint[0]");
}

/// The published snapshot of a profile, with one constraint of its own.
#[test]
fn a_snapshots_rules_name_elements_that_exist() {
    let snapshot = |expression: &str| {
        let mut made = profile(json!([element("Observation.component", json!({"short": "x"}))]));
        let elements = validator().definitions().derive(&made).elements;
        made["snapshot"] = json!({"element": elements});
        let list = made["snapshot"]["element"].as_array_mut().unwrap();
        for element in list.iter_mut() {
            element["definition"] = json!("x");
            element["min"] = element.get("min").cloned().unwrap_or(json!(0));
            element["max"] = element.get("max").cloned().unwrap_or(json!("1"));
        }
        let component = list.iter_mut().find(|it| it["path"] == "Observation.component").unwrap();
        component["constraint"].as_array_mut().unwrap().push(json!(
            {"key": "t-1", "severity": "error", "human": "x", "expression": expression, "source": "http://t.org/StructureDefinition/p"}));
        let report = validator().validate(&made, &Options::default());
        report.errors().filter(|issue| issue.rule == "constraint-expression").count()
    };
    assert_eq!(snapshot("code.coding.where(system = 'x').exists() or value.ofType(Quantity).unit.exists()"), 0);
    assert_eq!(snapshot("%resource.subject.resolve().anything.exists() or extension('http://x').value.exists()"), 0);
    assert_eq!(snapshot("code.codings.exists()"), 1);
    assert_eq!(snapshot("valueQuantity.exists()"), 1);
    assert_eq!(snapshot("value.ofType(Quantity).units.exists()"), 1);
    assert_eq!(snapshot("interpretation.all(coding.exists() and cod.exists())"), 1);
}

#[test]
fn extensions_say_their_url_and_where_they_stand() {
    let extension = |fixed: Option<&str>, context: &str| {
        let url = element("Extension.url", fixed.map_or(json!({"short": "x"}), |url| json!({"fixedUri": url})));
        let mut made = profile(json!([element("Extension", json!({"short": "x"})), url]));
        (made["type"], made["kind"]) = (json!("Extension"), json!("complex-type"));
        made["baseDefinition"] = json!("http://hl7.org/fhir/StructureDefinition/Extension");
        made["context"] = json!([{"type": "element", "expression": context}]);
        made
    };
    let own = "http://t.org/StructureDefinition/p";
    none(&extension(Some(own), "Patient.contact.name"));
    none(&extension(Some(own), "CodeableConcept"));
    one(&extension(Some("http://t.org/other"), "Patient"), "extension-definition-url", "");
    one(&extension(None, "Patient"), "extension-definition-url", "");
    one(&extension(Some(own), "Patient.nickname"), "extension-context", "context[0]");
    one(&extension(Some(own), "Pateint"), "extension-context", "context[0]");
    let mut unreadable = extension(Some(own), "Patient.where(");
    unreadable["context"][0]["type"] = json!("fhirpath");
    one(&unreadable, "extension-context", "context[0]");
    let misplaced = with(
        profile(json!([element("Observation.code", json!({"short": "x"}))])),
        "context",
        json!([{"type": "element", "expression": "Patient"}]),
    );
    assert!(errors(&misplaced).contains(&("extension-context".into(), "StructureDefinition.context[0]".into())));
}

#[test]
fn claims_of_compliance_are_held_against_the_other_profile() {
    let claim = |url: &str, elements: Value| {
        with(
            profile(elements),
            "extension",
            json!([{"url": "http://hl7.org/fhir/StructureDefinition/structuredefinition-compliesWithProfile", "valueCanonical": url}]),
        )
    };
    let other = with(
        with(profile(json!([element("Observation.subject", json!({"min": 1}))])), "url", json!("http://t.org/other")),
        "name",
        json!("O"),
    );
    let mut builder = crate::definitions::pack::Builder::fast("other");
    assert!(builder.add(&other));
    let pack = crate::definitions::Pack::open(builder.build()).unwrap();
    let validator = Validator::new(Definitions::with_packages([Arc::new(pack)]).unwrap());
    let rules = |resource: &Value| -> Vec<String> {
        errors_of(&validator, resource)
            .into_iter()
            .map(|(rule, _)| rule)
            .filter(|rule| rule == "complies-with")
            .collect()
    };
    assert_eq!(
        rules(&claim("http://t.org/other", json!([element("Observation.subject", json!({"min": 1}))]))),
        Vec::<String>::new()
    );
    assert_eq!(
        rules(&claim("http://t.org/other", json!([element("Observation.subject", json!({"short": "x"}))]))),
        ["complies-with"]
    );
    assert_eq!(
        rules(&claim("http://t.org/unknown", json!([element("Observation.subject", json!({"min": 1}))]))),
        ["complies-with"]
    );
}

mod terminology {
    use super::*;

    fn code_system(concepts: Value) -> Value {
        json!({"resourceType": "CodeSystem", "url": "http://t.org/cs", "name": "C", "status": "draft", "content": "complete",
            "caseSensitive": true, "concept": concepts})
    }

    #[test]
    fn code_systems_say_what_they_are() {
        let good = code_system(json!([{"code": "a", "concept": [{"code": "b"}]}]));
        none(&good);
        none(&with(good.clone(), "count", json!(2)));
        one(&with(good.clone(), "count", json!(3)), "code-system-count", "count");
        one(&with(good.clone(), "content", json!("not-present")), "code-system-content", "concept");
        one(&with(good.clone(), "content", json!("supplement")), "supplement", "content");
        let parent = |code: &str, uri: Value| {
            let concepts = json!([{"code": "a"}, {"code": "b", "property": [{"code": "parent", "valueCode": code}]}]);
            with(code_system(concepts), "property", json!([{"code": "parent", "uri": uri, "type": "code"}]))
        };
        let uri = json!("http://hl7.org/fhir/concept-properties#parent");
        none(&parent("a", uri.clone()));
        one(&parent("z", uri), "concept-property", "concept[1].property[0]");
        none(&parent("z", json!("http://other.org/properties#parent")));
        one(&parent("a", json!("http://hl7.org/fhir/concept-properties#up")), "concept-property", "property[0]");
        one(&parent("a", json!("up")), "concept-property", "property[0]");
        one(
            &with(good.clone(), "valueSet", json!("http://hl7.org/fhir/ValueSet/administrative-gender")),
            "code-system-value-set",
            "valueSet",
        );
    }

    #[test]
    fn supplements_add_to_codes_that_exist() {
        let of = |concepts: Value| {
            let mut made =
                with(code_system(concepts), "supplements", json!("http://hl7.org/fhir/administrative-gender"));
            made["content"] = json!("supplement");
            made.as_object_mut().unwrap().remove("caseSensitive");
            made
        };
        none(&of(json!([{"code": "male"}])));
        one(&of(json!([{"code": "mail"}])), "supplement", "concept[0]");
        one(&of(json!([{"code": "male", "concept": [{"code": "mail"}]}])), "supplement", "concept[0].concept[0]");
        one(&with(of(json!([{"code": "male"}])), "caseSensitive", json!(true)), "supplement", "caseSensitive");
        one(&with(of(json!([{"code": "male"}])), "content", json!("fragment")), "supplement", "content");
    }

    fn value_set(include: Value) -> Value {
        json!({"resourceType": "ValueSet", "url": "http://t.org/vs", "name": "V", "status": "draft", "compose": {"include": [include]}})
    }

    #[test]
    fn value_sets_include_what_exists() {
        let gender = "http://hl7.org/fhir/administrative-gender";
        none(&value_set(json!({"system": gender, "concept": [{"code": "male", "display": "Male"}]})));
        one(
            &value_set(json!({"system": gender, "concept": [{"code": "mail"}]})),
            "value-set-code",
            "compose.include[0].concept[0]",
        );
        none(&with(value_set(json!({"system": gender, "concept": [{"code": "mail"}]})), "status", json!("retired")));
        none(&value_set(json!({"system": "http://unknown.org/cs", "concept": [{"code": "mail"}]})));
        one(&value_set(json!({"system": format!("{gender}|4.0.1")})), "value-set-system", "compose.include[0].system");
        one(
            &value_set(json!({"system": "http://hl7.org/fhir/ValueSet/administrative-gender"})),
            "value-set-system",
            "compose.include[0].system",
        );
        one(
            &value_set(json!({"system": "urn:oid:2.16.840.1.113883.6.96"})),
            "value-set-system",
            "compose.include[0].system",
        );
        let filter = |property: &str, op: &str, value: &str| {
            value_set(json!({"system": gender, "filter": [{"property": property, "op": op, "value": value}]}))
        };
        none(&filter("code", "regex", "m.*"));
        one(&filter("code", "regex", "m(.*"), "value-set-filter", "compose.include[0].filter[0]");
        one(&filter("concept", "regex", "m.*"), "value-set-filter", "compose.include[0].filter[0]");
        one(&filter("concept", "is-a", "mail"), "value-set-filter", "compose.include[0].filter[0]");
        none(&filter("concept", "is-a", "male"));
        one(&filter("concept", "exists", "true"), "value-set-filter", "compose.include[0].filter[0]");
        one(&filter("notSelectable", "=", "yes"), "value-set-filter", "compose.include[0].filter[0]");
        one(&filter("code", "in", "male,mail"), "value-set-filter", "compose.include[0].filter[0]");
        one(&filter("itemWeight", "=", "heavy"), "value-set-filter", "compose.include[0].filter[0]");
        none(&filter("itemWeight", "=", "gt1.5"));
        let loinc = |property: &str, op: &str| {
            value_set(
                json!({"system": "http://loinc.org", "filter": [{"property": property, "op": op, "value": "LP1"}]}),
            )
        };
        none(&loinc("ancestor", "="));
        one(&loinc("ancestor", "is-a"), "value-set-filter", "compose.include[0].filter[0]");
    }

    #[test]
    fn concept_maps_map_codes_that_exist() {
        let map = |source: &str, target: &str| {
            json!({"resourceType": "ConceptMap", "url": "http://t.org/cm", "status": "draft",
                "sourceCanonical": "http://hl7.org/fhir/ValueSet/administrative-gender",
                "group": [{"source": "http://hl7.org/fhir/administrative-gender", "target": "http://hl7.org/fhir/observation-status",
                    "element": [{"code": source, "target": [{"code": target, "equivalence": "equal"}]}]}]})
        };
        none(&map("male", "final"));
        one(&map("mail", "final"), "concept-map-code", "group[0].element[0].code");
        one(&map("male", "finale"), "concept-map-code", "group[0].element[0].target[0].code");
        let mut scoped = map("male", "final");
        scoped["sourceCanonical"] = json!("http://hl7.org/fhir/ValueSet/observation-status");
        one(&scoped, "concept-map-code", "group[0].element[0].code");
    }

    #[test]
    fn search_expressions_ask_for_what_is_there() {
        let parameter = |expression: &str| {
            json!({"resourceType": "SearchParameter", "url": "http://t.org/sp", "name": "S", "status": "draft", "description": "x",
                "code": "s", "base": ["Patient", "Person"], "type": "string", "expression": expression})
        };
        none(&parameter("Patient.name.family | Person.name.family"));
        none(&parameter("Patient.extension('http://x').value.ofType(CodeableConcept).coding.code"));
        one(&parameter("Patient.name.surname"), "search-expression", "expression");
        one(&parameter("Practitioner.name"), "search-expression", "expression");
        one(&parameter("Patient.name.where("), "search-expression", "expression");
    }

    #[test]
    fn operations_say_what_their_profiles_say() {
        let operation = |max: &str, profile: &str| {
            json!({"resourceType": "OperationDefinition", "url": "http://t.org/op", "name": "O", "status": "draft", "kind": "operation",
                "code": "o", "system": true, "type": false, "instance": false, "inputProfile": profile,
                "parameter": [{"name": "a", "use": "in", "min": 0, "max": max, "type": "string"}]})
        };
        let slice = |name: &str, more: Value| {
            let mut made = element(&format!("Parameters.parameter{name}"), more);
            made["id"] = json!(format!("Parameters.parameter:a{name}"));
            made
        };
        let mut input = profile(json!([
            element(
                "Parameters.parameter",
                json!({"slicing": {"discriminator": [{"type": "value", "path": "name"}], "rules": "open"}})
            ),
            slice("", json!({"sliceName": "a", "max": "1"})),
            slice(".name", json!({"patternString": "a"}))
        ]));
        input["type"] = json!("Parameters");
        input["baseDefinition"] = json!("http://hl7.org/fhir/StructureDefinition/Parameters");
        let mut builder = crate::definitions::pack::Builder::fast("input");
        assert!(builder.add(&input));
        let pack = crate::definitions::Pack::open(builder.build()).unwrap();
        let validator = Validator::new(Definitions::with_packages([Arc::new(pack)]).unwrap());
        let rules = |resource: &Value| errors_of(&validator, resource);
        let profile = "http://t.org/StructureDefinition/p";
        assert_eq!(rules(&operation("1", profile)), []);
        let wrong = ("operation-profile".to_owned(), "OperationDefinition.parameter[0]".to_owned());
        assert_eq!(rules(&operation("*", profile)), [wrong]);
        let wrong = ("operation-profile".to_owned(), "OperationDefinition.inputProfile".to_owned());
        assert_eq!(rules(&operation("1", "http://t.org/unknown")), std::slice::from_ref(&wrong));
        assert!(rules(&operation("1", "http://hl7.org/fhir/StructureDefinition/Patient")).contains(&wrong));
    }
}

#[test]
fn keys_of_fhirs_own_rules_are_taken() {
    let rule = |key: &str, expression: &str| json!({"constraint": [{"key": key, "severity": "error", "human": "x", "expression": expression}]});
    let place = "differential.element[0].constraint[0]";
    one(&profile(json!([element("Observation", rule("pat-1", "code.exists()"))])), "constraint-key", place);
    none(&profile(json!([element("Observation", rule("pat-99", "code.exists()"))])));
}

#[test]
fn capability_statements_know_the_types_of_search_parameters() {
    let statement = |kind: &str| {
        json!({"resourceType": "CapabilityStatement", "url": "http://t.org/c", "status": "draft", "date": "2024", "kind": "requirements",
            "fhirVersion": "4.0.1", "format": ["json"], "description": "x", "rest": [{"mode": "server", "resource": [{"type": "Patient",
            "searchParam": [{"name": "family", "type": kind, "definition": "http://hl7.org/fhir/SearchParameter/individual-family"}]}]}]})
    };
    none(&statement("string"));
    one(&statement("token"), "search-parameter-type", "rest[0].resource[0].searchParam[0]");
}

#[test]
fn obligation_profiles_add_nothing_but_obligations() {
    let flagged = |elements: Value| {
        let flag =
            json!([{"url": "http://hl7.org/fhir/StructureDefinition/obligation-profile-flag", "valueBoolean": true}]);
        with(profile(elements), "extension", flag)
    };
    none(&flagged(json!([element("Observation.subject", json!({"min": 1, "mustSupport": true}))])));
    one(&flagged(json!([element("Observation.status", json!({"fixedCode": "final"}))])), "obligation-profile", AT);
    one(&flagged(json!([element("Observation.code.text", json!({"min": 1}))])), "obligation-profile", AT);
    let purpose = |code: &str| {
        let parts = [
            json!({"url": "purpose", "valueCode": code}),
            json!({"url": "valueSet", "valueCanonical": "http://t.org/vs"}),
        ];
        let more =
            json!([{"url": "http://hl7.org/fhir/tools/StructureDefinition/additional-binding", "extension": parts}]);
        json!({"binding": {"strength": "required", "extension": more}})
    };
    none(&flagged(json!([element("Observation.status", purpose("candidate"))])));
    one(&flagged(json!([element("Observation.status", purpose("required"))])), "obligation-profile", AT);
    none(&profile(json!([element("Observation.status", json!({"fixedCode": "final"}))])));
}

#[test]
fn monstrous_differentials_do_no_harm() {
    let started = std::time::Instant::now();
    let deep = format!("Observation{}", ".extension".repeat(50_000));
    assert!(!errors(&profile(json!([element(&deep, json!({"min": 1}))]))).is_empty());
    let within = "a/".repeat(50_000);
    let slice =
        json!({"id": format!("Observation.category:{within}"), "path": "Observation.category", "sliceName": within});
    assert!(!errors(&profile(json!([slice]))).is_empty());
    let many = |count: usize| -> Vec<Value> {
        (0..count)
            .map(|at| json!({"id": format!("Observation.contained:s{at}.name"), "path": "Observation.contained.name", "min": 1}))
            .collect()
    };
    assert!(!errors(&profile(json!(many(2_000)))).is_empty());
    let _ = errors(&profile(json!(many(20_000))));
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn expression_constraints_can_be_read() {
    let set = |property: &str, value: &str| {
        json!({"resourceType": "ValueSet", "status": "draft", "compose": {"include": [{"system": "http://snomed.info/sct",
            "filter": [{"property": property, "op": "=", "value": value}]}]}})
    };
    none(&set("constraint", "<< 404684003 |Clinical finding|: 363698007 = << 39057004"));
    one(&set("constraint", "<< 404684003 |Clinical finding"), "value-set-filter", "compose.include[0].filter[0]");
    one(&set("constraint", "all of them"), "value-set-filter", "compose.include[0].filter[0]");
    none(&set("concept", "404684003"));
    let imports = |canonical: &str| json!({"resourceType": "ValueSet", "status": "draft", "compose": {"include": [{"valueSet": [canonical]}]}});
    none(&imports("http://snomed.info/sct?fhir_vs=ecl/%3C%3C404684003"));
    none(&imports("http://snomed.info/sct?fhir_vs=isa/404684003"));
    one(&imports("http://snomed.info/sct?fhir_vs=ecl/%3C%3C"), "ecl", "compose.include[0].valueSet[0]");
    let binding =
        json!({"strength": "extensible", "valueSet": "http://snomed.info/sct?fhir_vs=ecl/%3C%3C404684003+AND"});
    one(
        &profile(json!([element("Observation.code", json!({"binding": binding}))])),
        "ecl",
        "differential.element[0].binding.valueSet",
    );
}
