//! Budgets and robustness of FHIRPath: generated and mutated expressions over mutated resources give a result or an error,
//! within their budget; absurd nesting and growth are refused. Seeds are printed on failure.

use std::time::{Duration, Instant};

use fastrand::Rng;
use liaison::{
    definitions::Definitions,
    fhirpath::{Budget, Context, Error, Expression, Inferred, Model, Node, Type},
    profile::Validator,
};
use serde_json::{Value, json};

const SEEDS: &[&str] = &[
    "Patient.name.where(use = 'official').given.first() & 'x'",
    "name.all(family.exists() or given.exists()) implies contact.empty().not()",
    "(1 | 2 | 3).aggregate($this + $total, 0) = 6",
    "descendants().where($this is Extension).url.matches('^http[s]?://.*$')",
    "birthDate + 3 months <= today() - 1 year",
    "contact.select(name.given | name.family).distinct().sort(-$this).join(', ')",
    "iif(deceased.exists(), deceased as dateTime, @2020-01-01T10:00:00+01:00).lowBoundary()",
    "4.5 'mg' * 2.0 'g' > 3 '1' or name.given.count() mod 2 = 0",
    "identifier.where(system.startsWith('urn:') xor value.contains('a'))[0].value.substring(1, 2).toInteger()",
    "repeat(contact | name | extension).type().name.isDistinct()",
    "name.given.replaceMatches('[a-z]+', '-').encode('base64').decode('base64').length() ~ 5.0",
    "%resource.contained.where(id in %context.descendants().reference.select(substring(1))).exists()",
    "telecom.exists($index > 0 and rank < 3).not() and {}.empty() and (true | false).anyTrue()",
];

fn patient() -> Value {
    json!({
        "resourceType": "Patient", "id": "p", "active": true, "birthDate": "1974-12",
        "_birthDate": {"extension": [{"url": "urn:x", "valueDecimal": 1.50}]},
        "name": [{"use": "official", "family": "Ä", "given": ["Peter", null, "J"], "_given": [null, {"id": "g"}, null]}, {"given": ["Jim"]}],
        "contact": [{"name": {"family": "B"}, "gender": "male"}],
        "deceasedDateTime": "2020-02-29T10:00:00.000Z",
        "identifier": [{"system": "urn:oid:1", "value": "a12"}, {"value": "x", "period": {"start": "2001-05-06"}}],
        "contained": [{"resourceType": "Organization", "id": "o", "name": "x"}],
        "managingOrganization": {"reference": "#o"}
    })
}

/// An expression from nothing: any operator, any function, any literal.
fn generated(rng: &mut Rng, depth: usize) -> String {
    let leaf = [
        "name",
        "given",
        "$this",
        "%resource",
        "1",
        "2.50",
        "'a'",
        "@2020-02-30",
        "@2020-02",
        "@T10:30",
        "{}",
        "true",
        "4 days",
        "3 'kg'",
        "$index",
        "$total",
        "id",
        "value",
        "Patient",
        "contained",
        "extension",
        "birthDate",
        "9223372036854775807",
        "79228162514264337593543950335.0",
        "'(a+)+$'",
        "%ucum",
        "-1",
        "identifier.period.start",
    ];
    let functions = [
        "where",
        "select",
        "repeat",
        "all",
        "exists",
        "iif",
        "skip",
        "take",
        "combine",
        "union",
        "exclude",
        "intersect",
        "subsetOf",
        "matches",
        "replace",
        "replaceMatches",
        "substring",
        "indexOf",
        "split",
        "join",
        "round",
        "power",
        "log",
        "aggregate",
        "trace",
        "extension",
        "sort",
        "comparable",
        "lowBoundary",
        "highBoundary",
        "encode",
        "escape",
        "unescape",
        "toQuantity",
        "memberOf",
        "conformsTo",
    ];
    let plain = [
        "first",
        "last",
        "tail",
        "single",
        "count",
        "not",
        "empty",
        "distinct",
        "isDistinct",
        "children",
        "descendants",
        "toString",
        "toInteger",
        "toDecimal",
        "toDate",
        "toDateTime",
        "toTime",
        "toQuantity",
        "abs",
        "ceiling",
        "floor",
        "exp",
        "ln",
        "sqrt",
        "truncate",
        "upper",
        "toChars",
        "length",
        "trim",
        "now",
        "today",
        "timeOfDay",
        "type",
        "hasValue",
        "getValue",
        "resolve",
        "precision",
        "lowBoundary",
        "highBoundary",
        "allTrue",
        "htmlChecks",
    ];
    let operators = [
        "+", "-", "*", "/", "div", "mod", "&", "|", "=", "!=", "~", "!~", "<", "<=", ">", ">=", "and", "or", "xor",
        "implies", "in", "contains",
    ];
    let pick = |rng: &mut Rng, from: &[&str]| from[rng.usize(..from.len())].to_owned();
    if depth == 0 {
        return pick(rng, &leaf);
    }
    match rng.u8(..9) {
        0 => pick(rng, &leaf),
        1 => format!("({})", generated(rng, depth - 1)),
        2 | 3 => format!("({} {} {})", generated(rng, depth - 1), pick(rng, &operators), generated(rng, depth - 1)),
        4 => format!("{}.{}()", generated(rng, depth - 1), pick(rng, &plain)),
        5 | 6 => format!("{}.{}({})", generated(rng, depth - 1), pick(rng, &functions), generated(rng, depth - 1)),
        7 => format!("{}[{}]", generated(rng, depth - 1), generated(rng, depth - 1)),
        _ => format!(
            "({} is {})",
            generated(rng, depth - 1),
            pick(rng, &["Patient", "System.String", "code", "Quantity"])
        ),
    }
}

fn mutated(rng: &mut Rng, text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..=rng.usize(..3) {
        let at = rng.usize(..=letters.len().saturating_sub(1));
        match rng.u8(..4) {
            0 if !letters.is_empty() => {
                letters.remove(at);
            }
            1 => letters.insert(
                at,
                ['(', ')', '\'', '.', '@', '\\', '|', '0', '$', '%', 'é', '\u{0}', '`', '-'][rng.usize(..14)],
            ),
            2 if letters.len() > 1 => {
                let other = rng.usize(..letters.len());
                letters.swap(at, other);
            }
            _ => {
                let end = (at + rng.usize(..12)).min(letters.len());
                let copied: Vec<char> = letters[at..end].to_vec();
                letters.splice(at..at, copied);
            }
        }
    }
    letters.into_iter().collect()
}

/// Changes a few places of a resource to other shapes.
fn bent(rng: &mut Rng, value: &mut Value) {
    if rng.u8(..8) == 0 {
        *value = [
            json!(null),
            json!([]),
            json!({}),
            json!("x"),
            json!(1e30),
            json!([null, [1]]),
            json!({"resourceType": 5}),
            json!({"reference": "#"}),
            json!({"value": 1, "unit": "mg"}),
        ][rng.usize(..9)]
        .clone();
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| bent(rng, item)),
        Value::Object(map) => map.values_mut().for_each(|item| bent(rng, item)),
        _ => {}
    }
}

#[test]
fn whatever_is_asked_ends_within_its_budget() {
    let seed = 20_261_122;
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let validator = Validator::new(Definitions::core());
    let models: [&dyn Model; 2] = [validator.model(), &Inferred];
    let (mut parsed, mut evaluated) = (0, 0);
    for round in 0..6_000 {
        let text = if round % 3 == 0 {
            let seed = SEEDS[rng.usize(..SEEDS.len())];
            mutated(&mut rng, seed)
        } else {
            let depth = 1 + rng.usize(..5);
            generated(&mut rng, depth)
        };
        let mut resource = patient();
        if round % 2 == 0 {
            bent(&mut rng, &mut resource);
        }
        let Ok(expression) = Expression::parse(&text) else { continue };
        parsed += 1;
        let focus = Node::new(Some(&resource), None, Type::UNKNOWN);
        let mut context = Context::new(models[round % 2], Some(focus));
        context.now = Some("2026-11-22T10:15:30Z".parse().expect("an instant"));
        context.strict = round % 5 == 0;
        context.budget = Budget { steps: 20_000, ..Budget::default() };
        let begun = Instant::now();
        evaluated += usize::from(expression.evaluate(focus, &context).is_ok());
        let _ = expression.holds(focus, &context);
        assert!(begun.elapsed() < Duration::from_secs(5), "seed {seed}, round {round}: slow: {text}");
    }
    // The test would show nothing if next to nothing were valid
    assert!(parsed > 3_000 && evaluated > 800, "{parsed} parsed, {evaluated} evaluated");
}

#[test]
fn absurd_expressions_are_refused_or_answered() {
    let many = |part: &str, count: usize| part.repeat(count);
    let nested =
        |open: &str, inner: &str, close: &str, count| format!("{}{inner}{}", many(open, count), many(close, count));
    for text in [
        nested("(", "1", ")", 100_000),
        nested("name.where(", "true", ")", 5_000),
        nested("iif(true, ", "1", ")", 5_000),
        nested("a[", "0", "]", 5_000),
        many("-", 100_000) + "1",
        many("a.", 100_000) + "a",
        "1".to_owned() + &many(" + 1", 100_000),
        "a".to_owned() + &many(" is b", 100_000),
        "true".to_owned() + &many(" implies true", 100_000),
        "name".to_owned() + &many(".first()", 10_000),
    ] {
        let refused = Expression::parse(&text);
        assert!(matches!(refused, Err(Error::Depth { .. })), "{}…: {refused:?}", &text[..20]);
    }
    // As deep as is allowed must still fit the stack of a thread
    let patient = patient();
    let focus = Node::new(Some(&patient), None, Type::UNKNOWN);
    let context = Context::new(&Inferred, Some(focus));
    for text in [
        nested("name.where(", "given.exists()", ")", 60) + ".exists()",
        nested("iif(true.not(), 1, ", "2", ")", 60),
        nested("(name | ", "name", ")", 30),
        nested("(1 + ", "1", ")", 30),
        "name".to_owned() + &many(".first()", 127),
        "name".to_owned() + &many(".select($this)", 127),
        many("not().", 120) + "not()",
    ] {
        let expression = Expression::parse(&text).expect("allowed");
        match expression.evaluate(focus, &context) {
            Ok(_) | Err(Error::Depth { .. }) => {}
            Err(error) => panic!("{text}: {error}"),
        }
    }
    let wide = "true".to_owned() + &many(" and true", 20_000);
    assert_eq!(Expression::parse(&wide).expect("flat").holds(focus, &context), Ok(true));
}

#[test]
fn what_grows_without_end_uses_up_its_steps() {
    let patient = patient();
    let focus = Node::new(Some(&patient), None, Type::UNKNOWN);
    let mut context = Context::new(&Inferred, Some(focus));
    context.budget = Budget { steps: 200_000, ..Budget::default() };
    for text in [
        "'a'.repeat($this & 'a')",
        "1.repeat($this + 1)",
        "(1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16|17|18|19|20|21|22|23|24|25|26|27|28|29|30).aggregate($total.combine($total), 1|2)",
        "(1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16|17|18|19|20|21|22|23|24|25|26|27|28|29|30).aggregate($total & $total, 'aaaaaaaaaaaa')",
    ] {
        let begun = Instant::now();
        let result = Expression::parse(text).expect("parses").evaluate(focus, &context).map(|items| items.len());
        assert!(matches!(result, Err(Error::Steps { .. } | Error::Evaluation { .. })), "{text}: {result:?}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{text}");
    }
    let evil = "('a'.replace('a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa') & '!').matches('^(a+)+$')";
    assert_eq!(Expression::parse(evil).expect("parses").holds(focus, &context), Ok(false));
}
