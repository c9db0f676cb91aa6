//! Value sets over small code systems: includes, excludes, filters, imports, supplements, cycles, expansions.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Membership, Why};
use crate::definitions::{Definitions, Pack, ValueSet, pack::Builder, slim::slim};

fn definitions(resources: &[Value]) -> Arc<Definitions> {
    let mut builder = Builder::fast("test");
    for resource in resources {
        assert!(builder.add(&slim(resource)), "{resource}");
    }
    Definitions::with_packages([Arc::new(Pack::open(builder.build()).unwrap())]).unwrap()
}

fn animals() -> Value {
    json!({"resourceType": "CodeSystem", "url": "http://t/animals", "content": "complete", "caseSensitive": true,
        "valueSet": "http://t/all-animals", "property": [{"code": "legs", "type": "integer"}],
        "concept": [
            {"code": "animal", "property": [{"code": "notSelectable", "valueBoolean": true}], "concept": [
                {"code": "dog", "display": "Dog", "property": [{"code": "legs", "valueInteger": 4}], "concept": [
                    {"code": "poodle", "property": [{"code": "legs", "valueInteger": 4}]}]},
                {"code": "bird", "display": "Bird", "property": [{"code": "legs", "valueInteger": 2}]},
                {"code": "dodo", "property": [{"code": "status", "valueCode": "retired"}]}]},
            {"code": "stone"}]})
}

fn set(url: &str, compose: Value) -> Value {
    json!({"resourceType": "ValueSet", "url": url, "compose": compose})
}

fn filtered(filter: Value) -> Arc<ValueSet> {
    let compose = json!({"include": [{"system": "http://t/animals", "filter": [filter]}]});
    definitions(&[animals(), set("http://t/set", compose)]).value_set("http://t/set").unwrap()
}

fn members(set: &ValueSet) -> String {
    let mut codes: Vec<String> = set.expand(100).unwrap().into_iter().map(|member| member.code).collect();
    codes.sort();
    for code in &codes {
        assert_eq!(set.contains(Some("http://t/animals"), code), Membership::Yes, "{code}");
        assert_eq!(set.contains(None, code), Membership::Yes, "{code}");
        assert_eq!(set.contains(Some("http://t/other"), code), Membership::No, "{code}");
    }
    codes.join(" ")
}

#[test]
fn every_filter_operator() {
    let by = |property: &str, op: &str, value: &str| {
        members(&filtered(json!({"property": property, "op": op, "value": value})))
    };
    assert_eq!(by("concept", "is-a", "dog"), "dog poodle");
    assert_eq!(by("concept", "descendent-of", "dog"), "poodle");
    assert_eq!(by("concept", "descendent-of", "animal"), "bird dodo dog poodle");
    assert_eq!(by("concept", "is-not-a", "animal"), "stone");
    assert_eq!(by("concept", "generalizes", "poodle"), "dog poodle");
    assert_eq!(by("legs", "=", "4"), "dog poodle");
    assert_eq!(by("legs", "in", "2, 3"), "bird");
    assert_eq!(by("legs", "exists", "false"), "dodo stone");
    assert_eq!(by("legs", "exists", "true"), "bird dog poodle");
    assert_eq!(by("code", "regex", "d.*"), "dodo dog");
    assert_eq!(by("display", "regex", "B.*"), "bird");
    assert_eq!(by("parent", "=", "animal"), "bird dodo dog");
    assert_eq!(by("child", "=", "poodle"), "dog");
    assert_eq!(by("inactive", "=", "true"), "dodo");
    assert_eq!(by("concept", "is-a", "nothing"), "");
    let unknown = filtered(json!({"property": "wings", "op": "=", "value": "2"}));
    assert_eq!(unknown.contains(None, "bird"), Membership::Unknown(Why::Filter("wings = 2".to_owned())));
    let evil = filtered(json!({"property": "code", "op": "regex", "value": "(a{1000}){1000}"}));
    assert!(matches!(evil.contains(None, "bird"), Membership::Unknown(Why::Filter(_))));
}

#[test]
fn includes_excludes_imports() {
    let resources = [
        animals(),
        set(
            "http://t/four",
            json!({"include": [{"system": "http://t/animals",
            "filter": [{"property": "legs", "op": "=", "value": "4"}]}]}),
        ),
        set("http://t/both", json!({"include": [{"valueSet": ["http://t/four", "http://t/named"]}]})),
        set(
            "http://t/named",
            json!({"include": [{"system": "http://t/animals",
            "concept": [{"code": "dog", "display": "Hound"}, {"code": "stone"}]}]}),
        ),
        set(
            "http://t/without",
            json!({"include": [{"system": "http://t/animals"}],
            "exclude": [{"system": "http://t/animals", "concept": [{"code": "stone"}]}, {"valueSet": ["http://t/four"]}]}),
        ),
        set("http://t/active", json!({"inactive": false, "include": [{"system": "http://t/animals"}]})),
        set("http://t/foreign", json!({"include": [{"system": "http://loinc.org"}, {"system": "http://t/animals"}]})),
        set("http://t/lost", json!({"include": [{"valueSet": ["http://t/nowhere"]}]})),
        set("http://t/empty", json!({})),
    ];
    let all = definitions(&resources);
    let of = |name: &str| all.value_set(&format!("http://t/{name}")).unwrap();
    assert_eq!(members(&of("both")), "dog");
    assert_eq!(members(&of("without")), "bird dodo");
    assert_eq!(members(&of("active")), "bird dog poodle stone");
    assert_eq!(of("active").contains(None, "dodo"), Membership::No);
    assert_eq!(members(&of("all-animals")), "bird dodo dog poodle stone", "the code system's own value set");
    assert_eq!(of("named").display(None, "dog"), Some("Hound"));
    // What is known decides even beside what is not.
    assert_eq!(of("foreign").contains(Some("http://t/animals"), "dog"), Membership::Yes);
    assert_eq!(of("foreign").contains(Some("http://t/animals"), "cat"), Membership::No);
    assert_eq!(of("foreign").contains(None, "dog"), Membership::Yes);
    let loinc = Membership::Unknown(Why::System("http://loinc.org".to_owned()));
    assert_eq!(of("foreign").contains(Some("http://loinc.org"), "1-8"), loinc);
    assert_eq!(of("foreign").contains(None, "cat"), loinc);
    let lost = Membership::Unknown(Why::ValueSet("http://t/nowhere".to_owned()));
    assert_eq!(of("lost").contains(None, "dog"), lost);
    assert_eq!(of("empty").contains(None, "dog"), Membership::Unknown(Why::Undefined("http://t/empty".to_owned())));
    assert!(all.value_set("http://t/nowhere").is_none());
}

#[test]
fn cycles_are_found() {
    let all = definitions(&[
        set("http://t/a", json!({"include": [{"valueSet": ["http://t/b"]}]})),
        set(
            "http://t/b",
            json!({"include": [{"valueSet": ["http://t/c"]}, {"system": "http://x", "concept": [{"code": "y"}]}]}),
        ),
        set("http://t/c", json!({"include": [{"valueSet": ["http://t/a"]}]})),
    ]);
    for url in ["http://t/a", "http://t/b", "http://t/c"] {
        let set = all.value_set(url).unwrap();
        assert_eq!(set.contains(None, "y"), Membership::Yes, "{url}");
        assert!(matches!(set.contains(None, "z"), Membership::Unknown(Why::Cycle(_))), "{url}");
    }
}

#[test]
fn case_supplements_fragments() {
    let system = |url: &str, more: Value| {
        let mut system = json!({"resourceType": "CodeSystem", "url": url, "content": "complete",
            "concept": [{"code": "Abc", "display": "Alpha  beta"}]});
        system.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        system
    };
    let all = definitions(&[
        system("http://t/folds", json!({"caseSensitive": false})),
        system("http://t/exact", json!({"caseSensitive": true})),
        system("http://t/part", json!({"content": "fragment", "caseSensitive": true})),
        system("http://t/none", json!({"content": "not-present"})),
        json!({"resourceType": "CodeSystem", "url": "http://t/more", "content": "supplement",
            "supplements": "http://t/exact|1", "concept": [{"code": "Abc", "designation": [{"language": "de", "value": "Anfang"}]}]}),
    ]);
    assert_eq!(all.is_code("http://t/folds", "aBC"), Membership::Yes);
    assert_eq!(all.is_code("http://t/exact", "aBC"), Membership::No);
    assert_eq!(all.is_code("http://t/part", "Abc"), Membership::Yes);
    assert!(matches!(all.is_code("http://t/part", "other"), Membership::Unknown(_)));
    assert!(matches!(all.is_code("http://t/none", "Abc"), Membership::Unknown(_)));
    assert!(matches!(all.is_code("http://snomed.info/sct", "1"), Membership::Unknown(_)));
    assert_eq!(all.is_code("http://unitsofmeasure.org", "mg"), Membership::Yes);
    assert_eq!(all.is_code("http://unitsofmeasure.org", "nonsense"), Membership::No);
    let exact = all.code_system("http://t/exact").unwrap();
    let concept = exact.concept("Abc").unwrap();
    assert!(concept.is_called("alpha BETA") && concept.is_called("Anfang") && !concept.is_called("Gamma"));
    // Names of a language that was not asked for do not count
    let mut spoken = concept.clone();
    for name in &mut spoken.designations {
        name.language = Some("de-CH".to_owned());
    }
    assert!(spoken.is_called_in("Anfang", Some("de")) && spoken.is_called_in("Anfang", None));
    assert!(!spoken.is_called_in("Anfang", Some("fr")) && spoken.is_called_in("Alpha beta", Some("fr")));
}

#[test]
fn expansions_help_where_the_definition_cannot_be_computed() {
    let with = |expansion: Value| {
        json!({"resourceType": "ValueSet", "url": "http://t/set", "expansion": expansion,
            "compose": {"include": [{"system": "http://loinc.org", "filter": [{"property": "x", "op": "=", "value": "y"}]}]}})
    };
    let contains = json!([{"system": "http://loinc.org", "code": "1-8", "contains": [
        {"system": "http://loinc.org", "code": "2-6"}, {"system": "http://loinc.org", "code": "9-9", "abstract": true}]}]);
    let whole = definitions(&[with(json!({"total": 2, "contains": contains.clone()}))]);
    let whole = whole.value_set("http://t/set").unwrap();
    assert_eq!(whole.contains(Some("http://loinc.org"), "2-6"), Membership::Yes);
    assert_eq!(whole.contains(Some("http://loinc.org"), "9-9"), Membership::No);
    assert_eq!(whole.expand(10).unwrap().len(), 2);
    let part = definitions(&[with(json!({"total": 20, "contains": contains}))]);
    let part = part.value_set("http://t/set").unwrap();
    assert_eq!(part.contains(Some("http://loinc.org"), "1-8"), Membership::Yes);
    assert!(matches!(part.contains(Some("http://loinc.org"), "9-9"), Membership::Unknown(_)));
}

#[test]
fn imports_of_imports_stay_linear_and_circles_of_many_end() {
    let import = |name: &str, of: Vec<String>| {
        set(
            &format!("http://t/{name}"),
            json!({"include": of.iter().map(|url| json!({"valueSet": [url]})).collect::<Vec<_>>()}),
        )
    };
    let mut resources =
        vec![set("http://t/0", json!({"include": [{"system": "http://x", "concept": [{"code": "y"}]}]}))];
    // Each imports the one before twice: 2^60 ways down.
    resources.extend((1..60).map(|at| import(&at.to_string(), vec![format!("http://t/{}", at - 1); 2])));
    // Each of 30 imports all of them.
    let all: Vec<String> = (0..30).map(|at| format!("http://t/c{at}")).collect();
    resources.extend((0..30).map(|at| import(&format!("c{at}"), all.clone())));
    let definitions = definitions(&resources);
    let deep = definitions.value_set("http://t/59").unwrap();
    assert_eq!(deep.contains(None, "y"), Membership::Yes);
    assert_eq!(deep.contains(None, "z"), Membership::No);
    assert_eq!(deep.systems(), ["http://x"]);
    assert_eq!(deep.display(None, "z"), None);
    assert!(matches!(deep.expand(5), Err(Why::Cycle(_))));
    assert!(matches!(
        definitions.value_set("http://t/c0").unwrap().contains(None, "y"),
        Membership::Unknown(Why::Cycle(_))
    ));
}
