//! Reports against measures: each rule with a report that keeps it and one that breaks it.

use serde_json::{Value, json};

use super::found as errors;

const POPULATIONS: &str = "http://terminology.hl7.org/CodeSystem/measure-population";

fn code(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": system, "code": code}]})
}

fn group(name: &str) -> Value {
    json!({"code": code("urn:g", name), "population": [
        {"code": code(POPULATIONS, "numerator"), "criteria": {"language": "text/fhirpath", "expression": "true"}},
        {"code": code(POPULATIONS, "measure-observation"), "criteria": {"language": "text/fhirpath", "expression": "true"}},
    ], "stratifier": [{"code": {"text": "by age"}, "criteria": {"language": "text/fhirpath", "expression": "true"}}]})
}

fn reported(name: &str) -> Value {
    json!({"code": code("urn:g", name), "population": [{"code": code(POPULATIONS, "numerator"), "count": 2}],
        "stratifier": [{"code": [{"text": "by age"}]}], "measureScore": {"value": 0.5}})
}

/// Errors of the measures' rules: rule and place.
fn found(scoring: &str, groups: &[Value], kind: &str, answers: &[Value]) -> Vec<String> {
    let report = json!({
        "resourceType": "MeasureReport", "status": "complete", "type": kind, "measure": "#m",
        "period": {"start": "2024", "end": "2025"}, "group": answers,
        "contained": [{"resourceType": "Measure", "id": "m", "status": "active", "group": groups,
            "scoring": code("http://terminology.hl7.org/CodeSystem/measure-scoring", scoring)}]
    });
    let mut report = report;
    if answers.is_empty() {
        report.as_object_mut().unwrap().remove("group");
    }
    errors(&report)
}

fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    *value.pointer_mut(pointer).expect("a place") = new;
    value
}

fn without(mut value: Value, name: &str) -> Value {
    value.as_object_mut().expect("an object").remove(name).expect("a member");
    value
}

#[test]
fn groups_belong_by_code() {
    let one = |answers: &[Value]| found("proportion", &[group("a")], "summary", answers);
    assert_eq!(one(&[reported("a")]), [""; 0]);
    assert_eq!(one(&[without(reported("a"), "code")]), [""; 0]);
    assert_eq!(one(&[reported("b")]), ["measure-code group[0]"]);
    let two = |kind: &str, answers: &[Value]| found("proportion", &[group("a"), group("b")], kind, answers);
    assert_eq!(two("summary", &[reported("b"), reported("a")]), [""; 0]);
    assert_eq!(two("summary", &[reported("a")]), ["measure-missing "]);
    assert_eq!(two("data-collection", &[]), [""; 0]);
    assert_eq!(two("summary", &[reported("a"), reported("b"), reported("b")]), ["measure-code group[2]"]);
    assert_eq!(two("summary", &[reported("a"), reported("b"), reported("c")]), ["measure-code group[2]"]);
    assert_eq!(
        two("summary", &[reported("a"), without(reported("b"), "code")]),
        ["measure-code group[1]", "measure-missing "]
    );
}

#[test]
fn populations_and_stratifiers_belong_by_code() {
    let one = |answer: Value| found("proportion", &[group("a")], "summary", &[answer]);
    let other = code(POPULATIONS, "denominator");
    assert_eq!(
        one(with(reported("a"), "/population/0/code", other)),
        ["measure-code group[0].population[0]", "measure-missing group[0]"]
    );
    assert_eq!(one(without(reported("a"), "population")), ["measure-missing group[0]"]);
    let twice = json!([{"code": code(POPULATIONS, "numerator")}, {"code": code(POPULATIONS, "numerator")}]);
    assert_eq!(one(with(reported("a"), "/population", twice)), ["measure-code group[0].population[1]"]);
    assert_eq!(one(without(reported("a"), "stratifier")), ["measure-missing group[0]"]);
    assert_eq!(
        one(with(reported("a"), "/stratifier/0/code/0/text", json!("by sex"))),
        ["measure-code group[0].stratifier[0]", "measure-missing group[0]"]
    );
}

#[test]
fn the_score_is_as_the_scoring_demands() {
    let scored = |scoring: &str, score: Value| {
        let answer = with(reported("a"), "/measureScore", score);
        found(scoring, &[group("a")], "summary", &[answer])
    };
    let none = |scoring: &str| found(scoring, &[group("a")], "summary", &[without(reported("a"), "measureScore")]);
    for scoring in ["proportion", "ratio", "continuous-variable"] {
        assert_eq!(none(scoring), ["measure-score group[0]"], "{scoring}");
        assert_eq!(scored(scoring, json!({"value": 1})), [""; 0], "{scoring}");
        assert!(!scored(scoring, json!({"comparator": "<"})).is_empty(), "{scoring}");
    }
    assert_eq!(none("cohort"), [""; 0]);
    assert_eq!(scored("cohort", json!({"value": 1})), ["measure-score group[0].measureScore"]);
    for bad in [json!(1.01), json!(-0.1)] {
        assert_eq!(scored("proportion", json!({"value": bad})), ["measure-score group[0].measureScore.value"]);
        assert_eq!(scored("ratio", json!({"value": bad})), [""; 0]);
    }
    assert_eq!(scored("proportion", json!({"value": 1, "unit": "%"})), ["measure-unit group[0].measureScore.unit"]);
}

#[test]
fn subjects_are_listed_where_the_report_is_a_list_of_subjects() {
    let listed = |kind: &str, population: Value| {
        let mut population = population;
        population["code"] = code(POPULATIONS, "numerator");
        found("proportion", &[group("a")], kind, &[with(reported("a"), "/population/0", population)])
    };
    let list = json!({"reference": "List/1"});
    assert_eq!(listed("subject-list", json!({"count": 2, "subjectResults": list})), [""; 0]);
    assert_eq!(listed("subject-list", json!({"count": 0})), [""; 0]);
    for (kind, bad) in [
        ("subject-list", json!({"count": 2})),
        ("subject-list", json!({"count": 0, "subjectResults": list})),
        ("summary", json!({"count": 2, "subjectResults": list})),
    ] {
        assert_eq!(listed(kind, bad), ["measure-subjects group[0].population[0]"]);
    }
}

#[test]
fn criteria_in_cql_need_a_library() {
    let library = |name: &str| {
        let elm = json!({"library": {"statements": {"def": [{"name": "In"}]}}}).to_string();
        let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, elm);
        json!({"resourceType": "Library", "id": name, "name": name, "status": "active",
            "type": code("http://terminology.hl7.org/CodeSystem/library-type", "logic-library"),
            "content": [{"contentType": "application/elm+json", "data": data}]})
    };
    let measure = |libraries: &[&str], expression: &str| {
        let names: Vec<String> = libraries.iter().map(|name| format!("#{name}")).collect();
        let contained: Vec<Value> = libraries.iter().map(|name| library(name)).collect();
        let mut measure = json!({"resourceType": "Measure", "status": "active", "group": [{"population": [
            {"criteria": {"language": "text/cql", "expression": expression}}]}]});
        if !names.is_empty() {
            measure["library"] = json!(names);
            measure["contained"] = json!(contained);
        }
        errors(&measure)
    };
    assert_eq!(measure(&["L"], "In"), [""; 0]);
    assert_eq!(measure(&["L", "M"], "M.In"), [""; 0]);
    let bad = "group[0].population[0].criteria";
    assert_eq!(measure(&[], "In"), [format!("measure-library {bad}")]);
    assert_eq!(measure(&["L", "M"], "In"), [format!("measure-library {bad}")]);
    assert_eq!(measure(&["L"], "N.In"), [format!("measure-library {bad}")]);
    assert_eq!(measure(&["L"], "L.Out"), [format!("measure-definition {bad}")]);
}
