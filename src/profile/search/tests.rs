//! The steps find what the FHIRPath engine finds, for every parameter and every example resource of the specification.

use super::*;

#[path = "../../../tests/support/beside.rs"]
#[expect(dead_code, reason = "unit tests need no peers")]
mod beside;

/// The mappings' worked examples, and the specification's where these are at hand (then `true`).
fn examples() -> (Vec<Value>, bool) {
    let ours = crate::embedded::MAPPINGS.iter().filter(|(path, _)| path.ends_with(".fhir.json"));
    let mut found: Vec<Value> = ours.filter_map(|(_, bytes)| fhir::read(bytes).ok()).collect();
    let Some(folder) = beside::shared("examples-r4") else { return (found, false) };
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().map(|file| file.path()).collect();
    files.sort();
    found.extend(files.iter().filter_map(|path| fhir::read(&std::fs::read(path).ok()?).ok()));
    (found, true)
}

#[test]
fn steps_and_engine_agree() {
    let search = Search::new(Definitions::core());
    let (mut compared, mut found, mut differ) = (0, 0, Vec::new());
    let (examples, all) = examples();
    for resource in examples {
        let Some(kind) = fhir::resource_type(&resource) else { continue };
        for parameter in search.parameters(kind).iter() {
            for side in union(&parameter.expression) {
                let Some(path) = Path::compile(side) else { continue };
                // The engine would have to follow references; the steps go by their text.
                if side.contains("resolve()") {
                    continue;
                }
                let expression = Expression::parse(side).unwrap();
                let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                path.values(&resource, &mut ours);
                search.evaluate(&expression, &resource, &mut theirs);
                compared += 1;
                found += ours.len();
                if ours != theirs {
                    differ.push(format!(
                        "{kind} {}: {side}: {} here, {} there",
                        parameter.name,
                        ours.len(),
                        theirs.len()
                    ));
                }
            }
        }
    }
    let least = if all { (3_000, 1_000) } else { (2_000, 500) };
    assert!(compared > least.0 && found > least.1, "{compared} compared, {found} found");
    assert!(differ.is_empty(), "{} of {compared} differ:\n{}", differ.len(), differ.join("\n"));
}

#[test]
fn nearly_every_expression_is_steps() {
    let search = Search::new(Definitions::core());
    let (mut steps, mut engine) = (0, Vec::new());
    for kind in search.types() {
        for parameter in search.parameters(&kind).iter() {
            for alternative in search.compiled(parameter).iter() {
                match alternative {
                    Alternative::Steps(_) => steps += 1,
                    Alternative::Engine(expression) => engine.push(format!("{kind}: {}", expression.text())),
                }
            }
        }
    }
    assert!(steps > 2_000 && engine.len() < 10, "{steps} steps; by the engine: {engine:#?}");
}
