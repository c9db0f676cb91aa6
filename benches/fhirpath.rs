//! What FHIRPath costs: R4's own invariants on R4's examples, in ratios to reading the same bytes; single expressions, parsed
//! and evaluated, in ratios to reading the Patient that they are asked of. `cargo bench --bench fhirpath [-- NAME]`.

mod support;

use std::{collections::HashMap, fs, hint::black_box};

use liaison::{
    definitions::Definitions,
    fhir::{self, Value, resource_type},
    fhirpath::{Context, Expression, Item, Model, Node},
    profile::Validator,
};
use support::{Table, asked, fixtures, only_checked, shared, versus};

/// Asked of a Patient.
const EXPRESSIONS: &[&str] = &[
    "active and name.exists()",
    "name.where(use = 'official').given.first()",
    "telecom.where(system = 'phone').all(value.exists())",
    "identifier.select(system & '|' & value).distinct().count() = identifier.count()",
    "descendants().where($this is Reference).count()",
    "birthDate <= @2026-11-22 and name.given.join(' ').length() > 3",
];

fn main() {
    if only_checked() {
        return;
    }
    let validator = Validator::new(Definitions::core());
    let model = validator.model();
    let mut table = Table::new("FHIRPath");
    if asked("expressions") {
        singles(&mut table, model);
    }
    if asked("invariants") {
        invariants(&mut table, &validator);
    }
    table.finish();
}

fn singles(table: &mut Table, model: &dyn Model) {
    let patient = fixtures::patient();
    let bytes = serde_json::to_vec(&patient).expect("JSON");
    let node = Node::new(Some(&patient), None, model.named("Patient").expect("a type"));
    let context = Context::new(model, Some(node));
    let read = || drop(black_box(fhir::read(&bytes)));
    for text in EXPRESSIONS {
        let expression = Expression::parse(text).expect("parses");
        let evaluated = versus(9, || drop(black_box(expression.evaluate(node, &context))), read);
        let parsed = versus(9, || drop(black_box(Expression::parse(text))), read);
        table.most(text, evaluated.ratio, "x", None, None);
        let (own, once) = (evaluated.a_s * 1e9, parsed.a_s * 1e9);
        table.note(&format!("evaluated {own:.0} ns, parsed {once:.0} ns; reading the Patient is 1"));
    }
}

/// An invariant and the places of one resource where it must hold.
struct Rule<'v> {
    expression: &'v Expression,
    places: Vec<Node<'v>>,
}

/// Every invariant of the resource types and their parts (those of data types, `ele-1` and `ext-1` are left out) at every
/// place where it stands.
fn invariants(table: &mut Table, validator: &Validator) {
    let Some(folder) = shared("examples-r4") else { return };
    let (model, definitions) = (validator.model(), validator.definitions());
    let texts: Vec<Vec<u8>> =
        fs::read_dir(folder).expect("a folder").flatten().filter_map(|entry| fs::read(entry.path()).ok()).collect();
    let values: Vec<Value> = texts.iter().filter_map(|bytes| fhir::read(bytes).ok()).collect();
    let mut compiled: HashMap<String, Expression> = HashMap::new();
    let structures: Vec<_> = values
        .iter()
        .filter_map(|value| {
            let kind = resource_type(value)?;
            let structure = definitions.structure(&format!("http://hl7.org/fhir/StructureDefinition/{kind}"))?;
            Some((value, kind, structure))
        })
        .collect();
    let wanted = |key: &str| !matches!(key, "ele-1" | "ext-1");
    for (_, _, structure) in &structures {
        for constraint in structure.elements.iter().flat_map(|element| &element.constraints) {
            if let Some(text) = constraint.expression.as_ref().filter(|_| wanted(&constraint.key)) {
                compiled.entry(text.clone()).or_insert_with(|| Expression::parse(text).expect("R4's invariants parse"));
            }
        }
    }
    let mut work: Vec<(Node<'_>, Vec<Rule<'_>>)> = Vec::new();
    for (value, kind, structure) in &structures {
        let root = Node::new(Some(value), None, model.named(kind).expect("a type"));
        let context = Context::new(model, Some(root));
        let mut rules = Vec::new();
        for element in &structure.elements {
            let keyed = element.constraints.iter().filter(|it| wanted(&it.key));
            let expressions: Vec<&Expression> =
                keyed.filter_map(|it| compiled.get(it.expression.as_ref()?.as_str())).collect();
            if expressions.is_empty() {
                continue;
            }
            let places = match element.path.split_once('.') {
                None => vec![root],
                Some((_, below)) => {
                    let Ok(path) = Expression::parse(&below.replace("[x]", "")) else { continue };
                    // The places outlive the path that led to them.
                    let path: &Expression = Box::leak(Box::new(path));
                    let Ok(found) = path.evaluate(root, &context) else { continue };
                    found
                        .iter()
                        .filter_map(|item| if let Item::Node(node) = item { Some(*node) } else { None })
                        .collect()
                }
            };
            rules.extend(expressions.into_iter().map(|expression| Rule { expression, places: places.clone() }));
        }
        work.push((root, rules));
    }
    let mut counted = (0, 0);
    let mut all = || {
        counted = (0, 0);
        for (root, rules) in &work {
            let context = Context::new(model, Some(*root));
            for rule in rules {
                for place in &rule.places {
                    counted.0 += 1;
                    counted.1 += usize::from(black_box(rule.expression.holds(*place, &context)) == Ok(true));
                }
            }
        }
    };
    let found = versus(9, &mut all, || texts.iter().for_each(|bytes| drop(black_box(fhir::read(bytes)))));
    let what = format!("all invariants of {} examples ÷ reading them", work.len());
    table.most(&what, found.ratio, "x", Some(1.0), Some(0.3));
    table.note(&format!("{} evaluations, {} hold", counted.0, counted.1));
}
