//! HL7's official FHIRPath suite for R4, every case, with the types of the real definitions; exceptions are listed in
//! `fhirpath_exceptions.toml` with their reasons. Also: every expression of the packages parses.

use std::{collections::BTreeMap, fs, io::Read, sync::Arc};

use liaison::{
    definitions::Definitions,
    fhir::{self, Value},
    fhirpath::{Conformance, Context, Expression, Item, Node, Type},
    profile::{Options, Validator},
};
use regex::Regex;

use crate::support::{beside::shared, own};

struct Case {
    name: String,
    input: Option<String>,
    expression: String,
    invalid: bool,
    predicate: bool,
    ordered: bool,
    outputs: Vec<(Option<String>, String)>,
}

fn unescaped(text: &str) -> String {
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    let code = Regex::new(r"&#(x?)([0-9a-fA-F]+);").expect("valid");
    let plain = code.replace_all(&plain, |found: &regex::Captures<'_>| {
        let radix = if found[1].is_empty() { 10 } else { 16 };
        u32::from_str_radix(&found[2], radix).ok().and_then(char::from_u32).expect("a character").to_string()
    });
    plain.replace("&amp;", "&")
}

fn cases(xml: &str) -> Vec<Case> {
    let xml = xml.replace("\r\n", "\n");
    let xml = Regex::new(r"(?s)<!--.*?-->").expect("valid").replace_all(&xml, "").into_owned();
    let test = Regex::new(r"(?s)<test\s([^>]*)>(.*?)</test>").expect("valid");
    let expression = Regex::new(r"(?s)<expression([^>]*)>(.*?)</expression>").expect("valid");
    let output = Regex::new(r"(?s)<output([^>]*?)(?:/>|>(.*?)</output>)").expect("valid");
    let attribute = |attributes: &str, name: &str| {
        let found = Regex::new(&format!(r#"(?:^|\s){name}="([^"]*)""#)).expect("valid").captures(attributes)?;
        Some(unescaped(&found[1]))
    };
    let found: Vec<Case> = test
        .captures_iter(&xml)
        .map(|test| {
            let (attributes, body) = (&test[1], &test[2]);
            let text = expression.captures(body).expect("each test has an expression");
            Case {
                name: attribute(attributes, "name").expect("each test has a name"),
                input: attribute(attributes, "inputfile"),
                expression: unescaped(&text[2]),
                invalid: attribute(&text[1], "invalid").is_some(),
                predicate: attribute(attributes, "predicate").as_deref() == Some("true"),
                ordered: attribute(attributes, "ordered").as_deref() != Some("false"),
                outputs: output
                    .captures_iter(body)
                    .map(|found| {
                        let text = found.get(2).map_or("", |text| text.as_str());
                        (attribute(&found[1], "type"), unescaped(text))
                    })
                    .collect(),
            }
        })
        .collect();
    assert_eq!(found.len(), xml.matches("<test ").count(), "every test of the file must be read");
    found
}

struct Profiles<'v>(&'v Validator);

impl Conformance for Profiles<'_> {
    fn conforms_to(&self, node: Node<'_>, profile: &str) -> Option<bool> {
        let structure = self.0.definitions().structure(profile)?;
        let value = node.value()?;
        if value.get("resourceType").and_then(Value::as_str) != Some(&structure.type_name) {
            return Some(false);
        }
        let options = Options { profiles: vec![profile.to_owned()], ..Options::default() };
        Some(self.0.validate(value, &options).is_valid())
    }
}

fn validator() -> Validator {
    Validator::new(Definitions::core())
}

/// What an item is called and holds, in the suite's words.
fn shown(item: &Item<'_>, validator: &Validator) -> (String, String) {
    let type_name = match item {
        Item::Node(node) => validator.model().name(node.ty()).to_owned(),
        other => match other.system_type().expect("a System type") {
            "Quantity" => "Quantity".to_owned(),
            name => format!("{}{}", name[..1].to_lowercase(), &name[1..]),
        },
    };
    (type_name, item.to_text().map_or_else(|| "an element".to_owned(), |text| text.into_owned()))
}

fn fits(expected: &(Option<String>, String), found: &(String, String)) -> bool {
    let (kind, text) = (expected.0.as_deref(), expected.1.trim_start_matches('@'));
    let text = if found.0 == "time" { text.trim_start_matches('T') } else { text };
    let same_type = match kind {
        None => true,
        Some("date") => found.0.starts_with("date"),
        Some(kind) => kind == found.0,
    };
    let number = |text: &str| text.parse::<rust_decimal::Decimal>().ok();
    let same_text = match found.0.as_str() {
        "decimal" => number(text).is_some_and(|wanted| {
            number(&found.1).is_some_and(|own| own == wanted && (kind.is_some() || own.scale() == wanted.scale()))
        }),
        _ => text == found.1,
    };
    same_type && same_text
}

fn run(case: &Case, inputs: &BTreeMap<String, Value>, validator: &Validator) -> Result<(), String> {
    let expression = match Expression::parse(&case.expression) {
        Ok(expression) => expression,
        Err(_) if case.invalid => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    let input = case.input.as_ref().map(|name| &inputs[&name.replace(".xml", ".json")]);
    let focus = Node::new(input, None, Type::UNKNOWN);
    let conformance = Profiles(validator);
    let mut context = Context::new(validator.model(), input.map(|_| focus));
    context.conformance = Some(&conformance);
    context.now = Some("2026-11-22T10:15:30.123Z".parse().expect("an instant"));
    context.strict = case.invalid;
    if case.predicate {
        let held = expression.holds(focus, &context).map_err(|error| error.to_string())?;
        return if held { Ok(()) } else { Err("does not hold".to_owned()) };
    }
    let found = match expression.evaluate(focus, &context) {
        Ok(_) if case.invalid => return Err("should be refused".to_owned()),
        Ok(found) => found,
        Err(_) if case.invalid => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    let mut found: Vec<_> = found.iter().map(|item| shown(item, validator)).collect();
    let mut wanted = case.outputs.clone();
    if !case.ordered {
        found.sort_by(|a, b| a.1.cmp(&b.1));
        wanted.sort_by(|a, b| a.1.cmp(&b.1));
    }
    let same = found.len() == wanted.len() && wanted.iter().zip(&found).all(|(wanted, found)| fits(wanted, found));
    if same { Ok(()) } else { Err(format!("gives {found:?}")) }
}

#[test]
fn the_official_suite_passes() {
    let Some(folder) = shared("fhirpath-r4") else { return };
    let inputs: BTreeMap<String, Value> = fs::read_dir(folder.join("resources-r4"))
        .expect("readable")
        .flatten()
        .map(|entry| {
            let bytes = fs::read(entry.path()).expect("readable");
            let value = fhir::read(&bytes).expect("JSON");
            (entry.file_name().to_string_lossy().into_owned(), value)
        })
        .collect();
    let text = include_str!("fhirpath_exceptions.toml");
    let exceptions: BTreeMap<String, String> = toml::from_str(text).expect("names and reasons");
    let xml = fs::read_to_string(folder.join("tests-fhir-r4.xml")).expect("readable");
    let (cases, validator) = (cases(&xml), validator());
    assert!(cases.len() > 900, "the suite has 936 cases");
    let mut breaches = Vec::new();
    let mut passed = 0;
    for case in &cases {
        match (run(case, &inputs, &validator), exceptions.contains_key(&case.name)) {
            (Ok(()), false) => passed += 1,
            (Err(_), true) => {}
            (Ok(()), true) => breaches.push(format!("{}: listed as exception, and passes", case.name)),
            (Err(error), false) => {
                breaches.push(format!("{}: `{}` {error}; wanted {:?}", case.name, case.expression, case.outputs));
            }
        }
    }
    let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    for name in exceptions.keys().filter(|name| !names.contains(&name.as_str())) {
        breaches.push(format!("{name}: listed as exception, and is no case"));
    }
    assert!(breaches.is_empty(), "{passed} pass, {} do not:\n{}", breaches.len(), breaches.join("\n"));
}

/// The patient of our own cases.
const ADA: &str = r##"{"resourceType":"Patient","id":"ada","active":true,
    "contained":[{"resourceType":"Organization","id":"o","name":"The practice"}],
    "name":[{"use":"official","family":"Okafor","given":["Ada","Zoë"]},{"use":"nickname","given":["Ad"]}],
    "telecom":[{"system":"phone","value":"555 0100","rank":1},{"system":"email","value":"ada@okafor.example","rank":2}],
    "birthDate":"1980-02-29",
    "_birthDate":{"extension":[{"url":"http://practice.example/birth-time","valueTime":"07:30:00"}]},
    "contact":[{"name":{"text":"the neighbour"}}],"managingOrganization":{"reference":"#o"}}"##;

#[test]
fn our_own_cases_pass() {
    let inputs = BTreeMap::from([("ada.json".to_owned(), fhir::read_str(ADA).expect("JSON"))]);
    let validator = validator();
    let (mut count, mut breaches) = (0, Vec::new());
    for line in include_str!("fhirpath_cases.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (expression, results) = line.rsplit_once("=>").expect("expression => results");
        let (expression, results) = (expression.trim().to_owned(), results.trim());
        let invalid = results == "!";
        let results = results.split('|').map(str::trim).filter(|result| !result.is_empty() && !invalid);
        let case = Case {
            name: expression.clone(),
            input: Some("ada.json".to_owned()),
            expression,
            invalid,
            predicate: false,
            ordered: true,
            outputs: results.map(|result| (None, result.to_owned())).collect(),
        };
        count += 1;
        if let Err(error) = run(&case, &inputs, &validator) {
            breaches.push(format!("{line}: {error}"));
        }
    }
    assert!(breaches.is_empty(), "{} of {count} do not:\n{}", breaches.len(), breaches.join("\n"));
}

#[test]
fn every_expression_of_the_core_and_of_our_own_parses() {
    let definitions = own::with_practice();
    let (mut count, mut breaches) = (0, Vec::new());
    let mut check = |text: &str, place: &str| {
        count += 1;
        if let Err(error) = Expression::parse(text) {
            breaches.push(format!("{place}: {error}: {text}"));
        }
    };
    for found in definitions.list("StructureDefinition") {
        let structure = definitions.structure(&found.url).expect("compiles");
        let constraints = structure.elements.iter().flat_map(|element| &element.constraints);
        for text in constraints.filter_map(|constraint| constraint.expression.as_deref()) {
            check(text, &found.url);
        }
    }
    assert!(count > 2_000, "only {count} expressions were found");
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn every_expression_of_the_packages_parses() {
    let Some(packages) = shared("packages") else { return };
    let (mut count, mut breaches) = (0, Vec::new());
    let mut check = |expression: Option<&Value>, place: &str| {
        if let Some(text) = expression.and_then(Value::as_str) {
            count += 1;
            if let Err(error) = Expression::parse(text) {
                breaches.push(format!("{place}: {error}: {text}"));
            }
        }
    };
    for entry in fs::read_dir(packages).expect("packages").flatten() {
        let file = fs::File::open(entry.path()).expect("readable");
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
        for member in archive.entries().expect("a tar file") {
            let mut member = member.expect("a member");
            let name = member.path().expect("a path").to_string_lossy().into_owned();
            let file = name.rsplit('/').next().expect("a file name");
            if !["StructureDefinition-", "SearchParameter-"].iter().any(|kind| file.starts_with(kind))
                || !file.ends_with(".json")
            {
                continue;
            }
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes).expect("readable");
            let resource = fhir::read(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
            check(resource.get("expression"), &name);
            for part in ["snapshot", "differential"] {
                let elements = resource.pointer(&format!("/{part}/element")).and_then(Value::as_array);
                for element in elements.into_iter().flatten() {
                    for constraint in element.get("constraint").and_then(Value::as_array).into_iter().flatten() {
                        check(constraint.get("expression"), &name);
                    }
                }
            }
        }
    }
    assert!(count > 10_000, "only {count} expressions were found");
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn an_expression_is_shared_between_threads() {
    fn is<T: Send + Sync + Clone>() {}
    is::<Expression>();
    let validator = Arc::new(validator());
    let expression = Expression::parse("name.where(use = 'official').given.first()").expect("parses");
    let patient = serde_json::json!({"resourceType": "Patient", "name": [{"use": "official", "given": ["A", "B"]}]});
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let focus = Node::new(Some(&patient), None, Type::UNKNOWN);
                let context = Context::new(validator.model(), Some(focus));
                let found = expression.evaluate(focus, &context).expect("evaluates");
                assert_eq!(found.iter().filter_map(Item::text).collect::<Vec<_>>(), ["A"]);
            });
        }
    });
}
