//! What the official suite leaves open: places in errors, navigation of siblings and choices, types without a model,
//! references, terminology, invariants as conditions, the budget.

use serde_json::{Value, json};

use super::*;

fn patient() -> Value {
    json!({
        "resourceType": "Patient", "id": "p", "active": false, "birthDate": "1974-12-25",
        "_birthDate": {"id": "b", "extension": [{"url": "urn:time", "valueDateTime": "1974-12-25T14:35:45-05:00"}]},
        "_gender": {"extension": [{"url": "urn:why", "valueCode": "unknown"}]},
        "name": [
            {"use": "official", "family": "C", "given": ["A", null, "B"], "_given": [null, {"extension": [{"url": "urn:x"}]}, null]},
            {"given": ["D"]}
        ],
        "deceasedDateTime": "2020-02-29T10:00:00Z",
        "multipleBirthInteger": 2,
        "managingOrganization": {"reference": "#o"},
        "generalPractitioner": [{"reference": "Practitioner/1"}],
        "maritalStatus": {"coding": [{"system": "urn:s", "code": "M"}, {"system": "urn:t", "code": "x"}]},
        "contained": [{"resourceType": "Organization", "id": "o", "name": "Org"}]
    })
}

/// Texts of the result, or the error's.
fn ask(expression: &str) -> Vec<String> {
    let patient = patient();
    let focus = Node::new(Some(&patient), None, Type::UNKNOWN);
    let parsed = match Expression::parse(expression) {
        Ok(parsed) => parsed,
        Err(error) => return vec![error.to_string()],
    };
    match parsed.evaluate(focus, &Context::inferred(&patient)) {
        Ok(items) => items.iter().map(|item| item.to_text().map_or("…".into(), |text| text.into_owned())).collect(),
        Err(error) => vec![error.to_string()],
    }
}

#[test]
fn errors_name_the_place() {
    let syntax = |text: &str| match Expression::parse(text) {
        Err(Error::Syntax { line, column, .. } | Error::UnknownFunction { line, column, .. }) => (line, column),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(syntax("name.("), (1, 6));
    assert_eq!(syntax("name\n  and 'ä' §"), (2, 11));
    assert_eq!(syntax("name.frist()"), (1, 6));
    assert_eq!(syntax("name.where()"), (1, 6));
    assert_eq!(syntax("'open"), (1, 1));
    assert_eq!(syntax("@2020-13-01"), (1, 1));
    assert_eq!(syntax(""), (1, 1));
}

#[test]
fn primitives_have_siblings() {
    assert_eq!(ask("name.given"), ["A", "…", "B", "D"]);
    assert_eq!(ask("name.given.count()"), ["4"]);
    assert_eq!(ask("name.given.where(hasValue()).count()"), ["3"]);
    assert_eq!(ask("name.given[1].extension.url"), ["urn:x"]);
    assert_eq!(ask("birthDate.extension('urn:time').value"), ["1974-12-25T14:35:45-05:00"]);
    assert_eq!(ask("birthDate.id"), ["b"]);
    assert_eq!(ask("gender.exists() and gender.hasValue().not()"), ["true"]);
    assert_eq!(ask("gender.hasExtension('urn:why')"), ["true"]);
    assert_eq!(ask("children().where(extension.url = 'urn:why').count()"), ["1"]);
}

#[test]
fn choices_and_types_without_a_model() {
    assert_eq!(ask("deceased"), ["2020-02-29T10:00:00Z"]);
    assert_eq!(ask("deceased is dateTime"), ["true"]);
    assert_eq!(ask("deceased is boolean"), ["false"]);
    assert_eq!(ask("multipleBirth.ofType(integer) + 1"), ["3"]);
    assert_eq!(ask("deceased > @2020-02-29T11:00:00+02:00"), ["true"]);
    assert_eq!(ask("Patient.id | Observation.id"), ["p"]);
    assert_eq!(ask("$this is Patient and ($this is Observation).not()"), ["true"]);
    assert_eq!(ask("contained.where($this is Organization).name"), ["Org"]);
    assert_eq!(ask("birthDate < @1980"), ["true"]);
}

#[test]
fn references_resolve() {
    assert_eq!(ask("managingOrganization.resolve().name"), ["Org"]);
    assert_eq!(ask("generalPractitioner.resolve()"), Vec::<String>::new());

    struct Elsewhere(Value);
    impl Resolver for Elsewhere {
        fn resolve<'a>(&'a self, reference: &str, _: Option<&'a Value>) -> Option<Resolved<'a>> {
            (reference == "Practitioner/1").then_some(Resolved::Resource(&self.0))
        }
    }
    let elsewhere = Elsewhere(json!({"resourceType": "Practitioner", "id": "1"}));
    let patient = patient();
    let focus = Node::new(Some(&patient), None, Type::UNKNOWN);
    let mut context = Context::inferred(&patient);
    context.resolver = Some(&elsewhere);
    let expression = Expression::parse("generalPractitioner.all(resolve() is Practitioner)").expect("parses");
    assert_eq!(expression.holds(focus, &context), Ok(true));
}

#[test]
fn terminology_has_three_answers() {
    struct Terms;
    impl Terminology for Terms {
        fn member_of(&self, value_set: &str, coding: Coding<'_>) -> Option<bool> {
            match (value_set, coding.system) {
                ("urn:yes", Some("urn:s")) => Some(true),
                ("urn:unknown", _) => None,
                _ => Some(false),
            }
        }
    }
    let patient = patient();
    let focus = Node::new(Some(&patient), None, Type::UNKNOWN);
    let mut context = Context::inferred(&patient);
    context.terminology = Some(&Terms);
    for (set, expected) in [("urn:yes", Some(true)), ("urn:no", Some(false)), ("urn:unknown", None)] {
        let expression = Expression::parse(&format!("maritalStatus.memberOf('{set}')")).expect("parses");
        assert_eq!(expression.holds(focus, &context).ok(), expected, "{set}");
    }
    // What decides before is not undone by what cannot be decided
    let expression = Expression::parse("active.exists() or maritalStatus.memberOf('urn:unknown')").expect("parses");
    assert_eq!(expression.holds(focus, &context), Ok(true));
}

#[test]
fn an_invariant_as_condition() {
    let patient = patient();
    let focus = Node::new(Some(&patient), None, Type::UNKNOWN);
    let context = Context::inferred(&patient);
    for (text, expected) in [
        ("name", true),
        ("name.given", true),
        ("photo", false),
        ("active", false),
        ("active.exists()", true),
        ("name | photo", true),
        ("birthDate < @1974-12", false),
        ("name.where(use = 'official').given", true),
        ("name.exists(use = 'official' and family.matches('^[A-Z]$'))", true),
        ("iif(active, false, true)", true),
    ] {
        let expression = Expression::parse(text).expect("parses");
        assert_eq!(expression.holds(focus, &context), Ok(expected), "{text}");
    }
    let several = Expression::parse("name.given and true").expect("parses");
    assert!(matches!(several.holds(focus, &context), Err(Error::Evaluation { .. })));
}

#[test]
fn variables_and_time_come_from_the_context() {
    let patient = patient();
    let focus = Node::new(Some(&patient), None, Type::UNKNOWN);
    let mut variables = Variables::new();
    variables.insert("limit".into(), vec![Item::Integer(3)]);
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(2));
    let mut context = Context::inferred(&patient);
    context.variables = Some(&variables);
    context.now = Some("2026-03-01T23:30:00Z".parse().expect("an instant"));
    context.zone = Some(&zone);
    for (text, expected) in [
        ("%limit + 1", "4"),
        ("now()", "2026-03-02T01:30:00.000+02:00"),
        ("today()", "2026-03-02"),
        ("timeOfDay()", "01:30:00.000"),
        ("today() - 1 month", "2026-02-02"),
        ("%`ext-iso21090`", "http://hl7.org/fhir/StructureDefinition/iso21090"),
    ] {
        let expression = Expression::parse(text).expect("parses");
        let found = expression.evaluate(focus, &context).expect("evaluates");
        assert_eq!(found.first().and_then(Item::to_text).unwrap_or_default(), expected, "{text}");
    }
    assert_eq!(ask("now()"), ["the expression cannot be evaluated here: the time is not known here"]);
    assert_eq!(ask("%nothing"), ["the expression cannot be evaluated here: there is no variable %nothing"]);
}

#[test]
fn variables_are_defined_on_the_way() {
    assert_eq!(ask("name.defineVariable('n', first().family).where(family = %n).use"), ["official"]);
    assert_eq!(ask("defineVariable('all', name).select(name.given.count() = %all.given.count())"), ["true"]);
    assert_eq!(ask("defineVariable('x', 1).name.exists(%x = 1)"), ["true"]);
    assert_eq!(ask("name.defineVariable('n').count() + %context.name.count()"), ["4"]);
    assert_eq!(ask("name.defineVariable('n').select(%n.count())"), ["2", "2"]);
    assert_eq!(ask("defineVariable('a', 1).defineVariable('b', %a + 1).select(%a + %b)"), ["3"]);
    assert_eq!(
        ask("name.select(defineVariable('g', given.count()).given.first().select($this & %g.toString()))"),
        ["A3", "D1"]
    );
    assert_eq!(ask("name.given.defineVariable('g').first()"), ["A"]);
    for bad in [
        "defineVariable('x', 1).defineVariable('x', 2).select(%x)",
        "defineVariable('context', 1)",
        "name.select(defineVariable('x', 1).given) | %x",
    ] {
        assert!(ask(bad)[0].contains("variable"), "{bad}: {:?}", ask(bad));
    }
}

#[test]
fn modifiers_are_known_or_an_error() {
    assert_eq!(ask("name.checkModifiers().count()"), ["2"]);
    let modified = json!({"resourceType": "Patient", "modifierExtension": [{"url": "urn:m", "valueBoolean": true}], "active": true});
    let focus = Node::new(Some(&modified), None, Type::UNKNOWN);
    let holds = |text: &str| Expression::parse(text).unwrap().holds(focus, &Context::inferred(&modified));
    assert_eq!(holds("checkModifiers('urn:m').active"), Ok(true));
    assert!(holds("checkModifiers('urn:other').active").is_err());
}

#[test]
fn the_calendar_is_gregorian() {
    for (text, expected) in [
        ("@2024-02-29 + 1 year", "2025-02-28"),
        ("@2024-01-31 + 1 month", "2024-02-29"),
        ("@2024-03-01 - 1 day", "2024-02-29"),
        ("@1900-02-28 + 1 day", "1900-03-01"),
        ("@2014 + 24 months", "2016"),
        ("@2014-03 + 11 months", "2015-02"),
        ("@2016-12-31T23:59:59Z + 2 seconds", "2017-01-01T00:00:01Z"),
        ("@T23:30 + 1 hour", "00:30"),
        ("@0001-01-01 - 1 day", ""),
    ] {
        assert_eq!(ask(text).first().map_or("", String::as_str), expected, "{text}");
    }
}

#[test]
fn comparing_what_is_less_precise_is_open() {
    for (text, expected) in [
        ("@2020 < @2020-05", ""),
        ("@2020 < @2021-05", "true"),
        ("@2020-01-01T10:00Z = @2020-01-01T11:00+01:00", "true"),
        ("@2020-01-01T10:00:00Z < @2020-01-03T10:00:00", "true"),
        ("@2020-01-01T10:00:00Z < @2020-01-01T12:00:00", ""),
        ("@2020-12-31T23:00:00-05:00 > @2021-01-01T03:00:00Z", "true"),
        ("1 year = 12 months", "true"),
        ("1 year = 1 'a'", ""),
        ("1 year ~ 1 'a'", "true"),
        ("37 'Cel' = 310.15 'K'", "true"),
        ("2 'mm[Hg]' < 1 'kPa'", "true"),
        ("1 'mg' < 1 'm'", ""),
    ] {
        assert_eq!(ask(text).first().map_or("", String::as_str), expected, "{text}");
    }
}

#[test]
fn decimals_are_exact() {
    assert_eq!(ask("0.1 + 0.2 = 0.3"), ["true"]);
    assert_eq!(ask("1.10.toString()"), ["1.10"]);
    assert_eq!(ask("9223372036854775807 + 1"), Vec::<String>::new());
    let value: Value = serde_json::from_str(r#"{"resourceType": "X", "a": 1.10, "b": 1E2}"#).expect("JSON");
    let focus = Node::new(Some(&value), None, Type::UNKNOWN);
    let expression = Expression::parse("a.toString() & '|' & (b = 100).toString()").expect("parses");
    let found = expression.evaluate(focus, &Context::inferred(&value)).expect("evaluates");
    assert_eq!(found[0].to_text().as_deref(), Some("1.10|true"));
}

#[test]
fn large_collections_are_told_apart_in_linear_time() {
    let names: Vec<Value> = (0..20_000).map(|at| json!({"given": [format!("n{at}")], "family": "F"})).collect();
    let patient = json!({"resourceType": "Patient", "name": names});
    let focus = Node::new(Some(&patient), None, Type::UNKNOWN);
    let mut context = Context::inferred(&patient);
    context.budget.steps = 2_000_000;
    for text in [
        "name.isDistinct()",
        "name.given.isDistinct()",
        "name.given.distinct().count() = 20000",
        "name.given.intersect(name.given).count() = 20000",
        "name.subsetOf(name)",
        "name.repeat(given).count() = 20000",
    ] {
        let expression = Expression::parse(text).expect("parses");
        assert_eq!(expression.holds(focus, &context), Ok(true), "{text}");
    }
}
