//! Each rule with a response that keeps it and one that breaks it.

use serde_json::{Value, json};

use crate::{
    definitions::Definitions,
    profile::{Options, Validator},
};

/// Issues of severity error and warning about the response: rule and place.
fn found(items: Value, answers: Value, status: &str) -> Vec<String> {
    let response = json!({
        "resourceType": "QuestionnaireResponse", "status": status, "questionnaire": "#q",
        "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},
        "contained": [{"resourceType": "Questionnaire", "id": "q", "status": "active", "item": items}],
        "item": answers
    });
    let report = Validator::new(Definitions::core()).validate(&response, &Options::default());
    let ours = ["item", "answer", "questionnaire", "reference-target-type", "enable-when"];
    report
        .issues
        .iter()
        .filter(|issue| ours.iter().any(|rule| issue.rule.starts_with(rule)))
        .filter(|issue| issue.severity.code() != "information")
        .map(|issue| {
            let place = issue.expression.trim_start_matches("QuestionnaireResponse").trim_start_matches('.');
            format!("{} {} {place}", issue.severity.code(), issue.rule)
        })
        .collect()
}

fn check(items: Value, answers: Value, expected: &[&str]) {
    assert_eq!(found(items.clone(), answers.clone(), "completed"), expected, "{items} answered {answers}");
}

fn one(question: Value, value: Value, expected: &[&str]) {
    let mut question = question;
    question["linkId"] = json!("a");
    check(json!([question]), json!([{"linkId": "a", "answer": [value]}]), expected);
}

#[test]
fn items_exist_in_their_place_and_order() {
    let form = json!([
        {"linkId": "g", "type": "group", "item": [{"linkId": "a", "type": "string"}]},
        {"linkId": "b", "type": "string", "text": "B?"},
        {"linkId": "d", "type": "display", "text": "Read this"}
    ]);
    let b = json!({"linkId": "b", "text": "B?", "answer": [{"valueString": "x"}]});
    let g = json!({"linkId": "g", "item": [{"linkId": "a", "answer": [{"valueString": "x"}]}]});
    check(form.clone(), json!([g, b]), &[]);
    check(form.clone(), json!([b, g]), &["error item-order item[1]"]);
    check(form.clone(), json!([{"linkId": "z"}]), &["error item-unknown item[0]"]);
    check(form.clone(), json!([{"linkId": "a", "answer": [{"valueString": "x"}]}]), &["error item-place item[0]"]);
    check(form.clone(), json!([{"linkId": "b", "text": "C?"}]), &["error item-text item[0].text"]);
    check(form.clone(), json!([{"linkId": "d", "answer": [{"valueString": "x"}]}]), &["error item-display item[0]"]);
    check(form.clone(), json!([{"linkId": "g", "answer": [{"valueString": "x"}]}]), &["error item-group item[0]"]);
    check(
        form,
        json!([{"linkId": "b", "answer": [{"valueString": "x"}], "item": [{"linkId": "a", "answer": [{"valueString": "x"}]}]}]),
        &["error item-nesting item[0]"],
    );
}

#[test]
fn required_and_repeated() {
    let form = json!([
        {"linkId": "g", "type": "group", "required": true, "item": [{"linkId": "a", "type": "string", "required": true}]},
        {"linkId": "r", "type": "integer", "repeats": true, "extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/questionnaire-minOccurs", "valueInteger": 2},
            {"url": "http://hl7.org/fhir/StructureDefinition/questionnaire-maxOccurs", "valueInteger": 3}]}
    ]);
    let answers = |count: i32| (0..count).map(|at| json!({"valueInteger": at})).collect::<Vec<_>>();
    let a = json!({"linkId": "a", "answer": [{"valueString": "x"}]});
    let g = json!({"linkId": "g", "item": [a]});
    check(form.clone(), json!([g, {"linkId": "r", "answer": answers(2)}]), &[]);
    check(form.clone(), json!([g]), &[]);
    check(form.clone(), json!([{"linkId": "r", "answer": answers(3)}]), &["error item-required "]);
    check(form.clone(), json!([{"linkId": "g"}]), &["error item-required item[0]", "error item-required item[0]"]);
    check(form.clone(), json!([g, {"linkId": "r", "answer": answers(1)}]), &["error answer-count item[1]"]);
    check(form.clone(), json!([g, {"linkId": "r", "answer": answers(4)}]), &["error answer-count item[1]"]);
    check(form.clone(), json!([g, g]), &["error item-repeats item[1]"]);
    check(
        form,
        json!([{"linkId": "g", "item": [{"linkId": "a", "answer": [{"valueString": "x"}, {"valueString": "y"}]}]}]),
        &["error answer-repeats item[0].item[0]"],
    );
    let form = json!([{"linkId": "a", "type": "string", "required": true}]);
    assert_eq!(found(form.clone(), json!([{"linkId": "a"}]), "in-progress"), ["warning item-required item[0]"]);
    assert_eq!(found(form, json!([{"linkId": "a"}]), "amended"), ["error item-required item[0]"]);
}

#[test]
fn nested_answers_are_checked_below_their_answer() {
    let form = json!([{"linkId": "a", "type": "boolean", "item": [{"linkId": "b", "type": "date", "required": true}]}]);
    let with = |inner: Value| json!([{"linkId": "a", "answer": [{"valueBoolean": true, "item": inner}]}]);
    check(form.clone(), with(json!([{"linkId": "b", "answer": [{"valueDate": "2020"}]}])), &[]);
    check(
        form.clone(),
        with(json!([{"linkId": "b", "answer": [{"valueString": "2020"}]}])),
        &["error answer-type item[0].answer[0].item[0].answer[0].value.ofType(string)"],
    );
    check(
        form,
        json!([{"linkId": "a", "answer": [{"valueBoolean": true}]}]),
        &["error item-required item[0].answer[0]"],
    );
}

#[test]
fn conditions() {
    let form = |behavior: &str, conditions: Value| {
        json!([
            {"linkId": "a", "type": "integer", "repeats": true}, {"linkId": "b", "type": "choice", "answerOption": [
                {"valueCoding": {"system": "urn:s", "code": "x"}}, {"valueCoding": {"system": "urn:s", "code": "y"}}]},
            {"linkId": "c", "type": "string", "required": true, "enableBehavior": behavior, "enableWhen": conditions}
        ])
    };
    let over = json!({"question": "a", "operator": ">", "answerInteger": 5});
    let is_x = json!({"question": "b", "operator": "=", "answerCoding": {"system": "urn:s", "code": "x"}});
    let (a, b, c) = (
        |value: i32| json!({"linkId": "a", "answer": [{"valueInteger": value}]}),
        |code: &str| json!({"linkId": "b", "answer": [{"valueCoding": {"system": "urn:s", "code": code}}]}),
        json!({"linkId": "c", "answer": [{"valueString": "s"}]}),
    );
    let all = form("all", json!([over, is_x]));
    check(all.clone(), json!([a(6), b("x"), c]), &[]);
    check(all.clone(), json!([a(6), b("x")]), &["error item-required "]);
    check(all.clone(), json!([a(6), b("y")]), &[]);
    check(all, json!([a(6), b("y"), c]), &["error item-disabled item[2]"]);
    let any = form("any", json!([over, is_x]));
    check(any.clone(), json!([a(6), b("y"), c]), &[]);
    check(any, json!([a(5), b("y"), c]), &["error item-disabled item[2]"]);
    let exists = |wanted: bool| form("any", json!([{"question": "a", "operator": "exists", "answerBoolean": wanted}]));
    check(exists(true), json!([a(1)]), &["error item-required "]);
    check(exists(false), json!([a(1)]), &[]);
    check(exists(false), json!([]), &["error item-required "]);
    let not = form("any", json!([{"question": "a", "operator": "!=", "answerInteger": 1}]));
    check(not.clone(), json!([a(1)]), &[]);
    check(not, json!([a(2)]), &["error item-required "]);
}

#[test]
fn a_condition_looks_nearby_where_its_question_repeats() {
    let form = json!([{"linkId": "g", "type": "group", "repeats": true, "item": [
        {"linkId": "a", "type": "boolean"},
        {"linkId": "b", "type": "string", "required": true, "enableWhen": [{"question": "a", "operator": "=", "answerBoolean": true}]}
    ]}]);
    let a = |value: bool| json!({"linkId": "a", "answer": [{"valueBoolean": value}]});
    let b = json!({"linkId": "b", "answer": [{"valueString": "s"}]});
    check(form.clone(), json!([{"linkId": "g", "item": [a(true), b]}, {"linkId": "g", "item": [a(false)]}]), &[]);
    check(
        form,
        json!([{"linkId": "g", "item": [a(true)]}, {"linkId": "g", "item": [a(false), b]}]),
        &["error item-required item[0]", "error item-disabled item[1].item[1]"],
    );
}

#[test]
fn conditions_of_a_questionnaire_name_questions_before() {
    let when = |question: &str| json!([{"question": question, "operator": "exists", "answerBoolean": true}]);
    let form = |question: &str| {
        json!([
            {"linkId": "a", "type": "string"}, {"linkId": "b", "type": "string", "enableWhen": when(question)}, {"linkId": "c", "type": "string"}
        ])
    };
    check(form("a"), json!([{"linkId": "a"}]), &[]);
    let at = |severity: &str| vec![format!("{severity} enable-when contained[0].item[1].enableWhen[0]")];
    assert_eq!(found(form("z"), json!([{"linkId": "a"}]), "completed"), at("error"));
    assert_eq!(found(form("b"), json!([{"linkId": "a"}]), "completed"), at("error"));
    assert_eq!(found(form("c"), json!([{"linkId": "a"}]), "completed"), at("warning"));
}

#[test]
fn options() {
    let coding = |code: &str| json!({"valueCoding": {"system": "urn:s", "code": code}});
    let choice = json!({"type": "choice", "answerOption": [coding("x"), {"valueString": "other"}]});
    one(choice.clone(), coding("x"), &[]);
    one(choice.clone(), json!({"valueString": "other"}), &[]);
    one(choice.clone(), coding("z"), &["error answer-options item[0].answer[0]"]);
    one(
        choice.clone(),
        json!({"valueString": "more"}),
        &["error answer-options item[0].answer[0].value.ofType(string)"],
    );
    one(choice, json!({"valueBoolean": true}), &["error answer-type item[0].answer[0].value.ofType(boolean)"]);
    let open = json!({"type": "open-choice", "answerOption": [{"valueCoding": {"system": "urn:s", "code": "x", "display": "X-ray"}}]});
    one(open.clone(), json!({"valueString": "more"}), &[]);
    one(open.clone(), json!({"valueString": "X-ray"}), &["warning answer-options item[0].answer[0]"]);
    one(open, coding("z"), &["error answer-options item[0].answer[0]"]);
    let numbers = json!({"type": "integer", "answerOption": [{"valueInteger": 1}, {"valueInteger": 2}]});
    one(numbers.clone(), json!({"valueInteger": 2}), &[]);
    one(numbers, json!({"valueInteger": 3}), &["error answer-options item[0].answer[0].value.ofType(integer)"]);
    let exclusive = json!([{"linkId": "a", "type": "choice", "repeats": true, "answerOption": [coding("x"), {
        "valueCoding": {"system": "urn:s", "code": "none"},
        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/questionnaire-optionExclusive", "valueBoolean": true}]}]}]);
    check(exclusive.clone(), json!([{"linkId": "a", "answer": [coding("none")]}]), &[]);
    check(
        exclusive,
        json!([{"linkId": "a", "answer": [coding("x"), coding("none")]}]),
        &["error answer-exclusive item[0].answer[1]"],
    );
}

#[test]
fn value_sets() {
    let gender = "http://hl7.org/fhir/administrative-gender";
    let question = json!({"type": "choice", "answerValueSet": "http://hl7.org/fhir/ValueSet/administrative-gender"});
    let answer =
        |code: &str, display: &str| json!({"valueCoding": {"system": gender, "code": code, "display": display}});
    one(question.clone(), answer("male", "Male"), &[]);
    one(question.clone(), answer("male", "Female"), &["error answer-display item[0].answer[0]"]);
    one(
        question.clone(),
        json!({"valueCoding": {"system": gender, "code": "no"}}),
        &["error answer-value-set item[0].answer[0]"],
    );
    one(question, json!({"valueCoding": {"code": "male"}}), &["warning answer-value-set item[0].answer[0]"]);
    let text = json!({"type": "string", "answerValueSet": "http://hl7.org/fhir/ValueSet/administrative-gender"});
    one(text.clone(), json!({"valueString": "male"}), &[]);
    one(text.clone(), json!({"valueString": "female"}), &[]);
    one(text, json!({"valueString": "no"}), &["error answer-value-set item[0].answer[0].value.ofType(string)"]);
    // Nobody can judge a system that is not at hand
    let foreign = json!({"type": "choice", "answerValueSet": "http://hl7.org/fhir/ValueSet/body-site"});
    one(foreign, json!({"valueCoding": {"system": "http://snomed.info/sct", "code": "1"}}), &[]);
}

#[test]
fn limits() {
    let with = |kind: &str, url: &str, key: &str, value: Value| {
        let url =
            if url.contains('/') { url.to_owned() } else { format!("http://hl7.org/fhir/StructureDefinition/{url}") };
        let mut extension = json!({"url": url});
        extension[key] = value;
        json!({"type": kind, "extension": [extension]})
    };
    let value = "item[0].answer[0].value.ofType";
    let least = with("integer", "minValue", "valueInteger", json!(5));
    one(least.clone(), json!({"valueInteger": 5}), &[]);
    one(least, json!({"valueInteger": 4}), &[&format!("error answer-bound {value}(integer)")]);
    let latest = with("date", "maxValue", "valueDate", json!("2022-06"));
    one(latest.clone(), json!({"valueDate": "2022-05-31"}), &[]);
    one(latest, json!({"valueDate": "2022-07-01"}), &[&format!("error answer-bound {value}(date)")]);
    let decimals = with("decimal", "maxDecimalPlaces", "valueInteger", json!(1));
    one(decimals.clone(), json!({"valueDecimal": 1.5}), &[]);
    let two: Value = serde_json::from_str(r#"{"valueDecimal": 1.50}"#).expect("JSON");
    one(decimals, two, &[&format!("error answer-decimals {value}(decimal)")]);
    one(json!({"type": "string", "maxLength": 3}), json!({"valueString": "äöü"}), &[]);
    one(
        json!({"type": "string", "maxLength": 3}),
        json!({"valueString": "äöüx"}),
        &[&format!("error answer-length {value}(string)")],
    );
    let pattern = with("string", "regex", "valueString", json!("[0-9]{3}"));
    one(pattern.clone(), json!({"valueString": "123"}), &[]);
    one(pattern, json!({"valueString": "1234"}), &[&format!("error answer-pattern {value}(string)")]);
    let ucum = |value: i32, code: &str| json!({"value": value, "system": "http://unitsofmeasure.org", "code": code});
    let far = with(
        "quantity",
        "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-maxQuantity",
        "valueQuantity",
        ucum(5, "km"),
    );
    one(far.clone(), json!({"valueQuantity": ucum(5000, "m")}), &[]);
    one(far.clone(), json!({"valueQuantity": ucum(5001, "m")}), &[&format!("error answer-bound {value}(Quantity)")]);
    one(far.clone(), json!({"valueQuantity": ucum(1, "kg")}), &[&format!("error answer-bound {value}(Quantity)")]);
    one(far, json!({"valueQuantity": {"value": 1, "unit": "km"}}), &[&format!("error answer-bound {value}(Quantity)")]);
    let unit = with(
        "quantity",
        "questionnaire-unitOption",
        "valueCoding",
        json!({"system": "http://unitsofmeasure.org", "code": "kg"}),
    );
    one(unit.clone(), json!({"valueQuantity": ucum(1, "kg")}), &[]);
    one(unit, json!({"valueQuantity": ucum(1, "g")}), &[&format!("error answer-unit {value}(Quantity)")]);
    let target = with("reference", "questionnaire-referenceResource", "valueCode", json!("Patient"));
    one(target.clone(), json!({"valueReference": {"reference": "Patient/1"}}), &[]);
    one(
        target,
        json!({"valueReference": {"reference": "Group/1"}}),
        &[&format!("error reference-target-type {value}(Reference)")],
    );
    let small = with("attachment", "maxSize", "valueDecimal", json!(2));
    one(small.clone(), json!({"valueAttachment": {"contentType": "text/plain", "data": "YWI="}}), &[]);
    one(
        small,
        json!({"valueAttachment": {"contentType": "text/plain", "data": "YWJj"}}),
        &["error answer-attachment item[0].answer[0]"],
    );
    let plain = with("attachment", "mimeType", "valueCode", json!("text/plain"));
    one(
        plain,
        json!({"valueAttachment": {"contentType": "text/html", "data": "YWJj"}}),
        &["error answer-attachment item[0].answer[0]"],
    );
}

/// Changes a few places to other shapes.
fn bent(rng: &mut fastrand::Rng, value: &mut Value) {
    if rng.u8(..12) == 0 {
        let shapes = [
            json!(null),
            json!([]),
            json!({}),
            json!("x"),
            json!(1e30),
            json!([{}, "a"]),
            json!({"value": 1}),
            json!({"valueÄ": 1, "linkId": "a"}),
            json!("a"),
            json!("group"),
            json!("question"),
        ];
        *value = shapes[rng.usize(..shapes.len())].clone();
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| bent(rng, item)),
        Value::Object(map) => map.values_mut().for_each(|item| bent(rng, item)),
        _ => {}
    }
}

#[test]
fn bent_questionnaires_and_responses_do_no_harm() {
    let seed = 51;
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let validator = Validator::new(Definitions::core());
    let whole = json!({
        "resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": "#q", "authored": "2020",
        "contained": [{"resourceType": "Questionnaire", "id": "q", "status": "active", "effectivePeriod": {"start": "2021"}, "item": [
            {"linkId": "g", "type": "group", "repeats": true, "item": [
                {"linkId": "a", "type": "choice", "repeats": true, "answerOption": [{"valueCoding": {"system": "s", "code": "x"}}, {"valueString": "y"}]},
                {"linkId": "b", "type": "quantity", "required": true, "enableWhen": [{"question": "a", "operator": "=", "answerCoding": {"system": "s", "code": "x"}}],
                 "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/maxValue", "valueQuantity": {"value": 1, "system": "http://unitsofmeasure.org", "code": "kg"}}]}]},
            {"linkId": "c", "type": "string", "maxLength": 3, "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/regex", "valueString": "[a-z]+"}]}
        ]}],
        "item": [
            {"linkId": "g", "item": [{"linkId": "a", "answer": [{"valueCoding": {"system": "s", "code": "x"}}]},
                {"linkId": "b", "answer": [{"valueQuantity": {"value": 2, "system": "http://unitsofmeasure.org", "code": "g"}}]}]},
            {"linkId": "g", "item": [{"linkId": "a", "answer": [{"valueString": "y", "item": [{"linkId": "c"}]}]}]},
            {"linkId": "c", "answer": [{"valueString": "abc"}]}
        ]
    });
    let mut checked = 0;
    for _ in 0..2_000 {
        let mut mutant = whole.clone();
        bent(&mut rng, &mut mutant);
        checked += validator.validate(&mutant, &Options::default()).issues.len();
    }
    assert!(checked > 2_000, "{checked}");
}

#[test]
fn expressions_see_variables_and_the_question() {
    let expression = |name: &str, text: &str| {
        let mut made = json!({"language": "text/fhirpath", "expression": text});
        if !name.is_empty() {
            made["name"] = json!(name);
        }
        made
    };
    let variable = |name: &str, text: &str| json!({"url": "http://hl7.org/fhir/StructureDefinition/variable", "valueExpression": expression(name, text)});
    let enabled = |text: &str| {
        json!({"url": "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-enableWhenExpression",
            "valueExpression": expression("", text)})
    };
    let form = |condition: &str| {
        json!([
            {"linkId": "a", "type": "integer"},
            {"linkId": "g", "type": "group", "extension": [variable("twice", "%first * 2")], "item": [
                {"linkId": "b", "type": "string", "extension": [enabled(condition)]}], }
        ])
    };
    let disabled = |condition: &str| {
        let mut items = form(condition);
        // On the group too, so that the order of definitions counts
        let first = variable("first", "item.where(linkId = 'a').answer.value");
        items[1]["extension"].as_array_mut().unwrap().insert(0, first);
        let answers = json!([{"linkId": "a", "answer": [{"valueInteger": 3}]},
            {"linkId": "g", "item": [{"linkId": "b", "answer": [{"valueString": "x"}]}]}]);
        !found(items, answers, "completed").is_empty()
    };
    assert!(!disabled("%twice = 6"));
    assert!(disabled("%twice = 7"));
    assert!(!disabled("%resource.item.count() = 2 and %qitem.linkId = 'b'"));
    assert!(disabled("%questionnaire.item.count() = 3"));
    // What nobody defines cannot be decided, and is no error
    assert!(!disabled("%other = 7"));
}

#[test]
fn a_long_response_costs_in_proportion() {
    let response = |count: usize| {
        let items = |item: fn(usize) -> Value| (0..count).map(item).collect::<Vec<_>>();
        let form = items(|at| {
            json!({"linkId": format!("q{at}"), "type": "string", "required": true,
            "enableWhen": [{"question": if at == 0 { "q1" } else { "q0" }, "operator": "exists", "answerBoolean": true}]})
        });
        let answers = items(|at| json!({"linkId": format!("q{at}"), "answer": [{"valueString": "x"}]}));
        json!({"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": "#q", "item": answers,
            "contained": [{"resourceType": "Questionnaire", "id": "q", "status": "active", "item": form}]})
    };
    let validator = Validator::new(Definitions::core());
    // This thread's processor time, so that a busy machine changes nothing.
    let spent = || {
        let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        std::time::Duration::new(u64::try_from(spent.tv_sec).unwrap(), u32::try_from(spent.tv_nsec).unwrap())
    };
    let time = |count: usize| {
        let response = response(count);
        let once = || {
            let begun = spent();
            let report = validator.validate(&response, &Options::default());
            assert_eq!(report.errors().count(), 0);
            spent() - begun
        };
        (0..3).map(|_| once()).min().expect("three")
    };
    let (short, long) = (time(200), time(2_000));
    assert!(long < short * 30, "{long:?} for ten times what took {short:?}");
}
