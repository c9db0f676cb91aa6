//! The rules that every object has without saying so: its id is our identifier upstream, `identifiers` are all others.

use std::sync::Arc;

use super::{
    compile::{Compiler, Within},
    schema::Cursor,
    shape::Shape,
    target::Start,
    yaml::Place,
};
use crate::mapping::{
    plan::{Direction, Kind, Leaf, Merging, Name, Rule, Scope, Selector, Step, Target, Test},
    transform::Transform,
};

/// Puts the identity's rules at the front of a part's rules. `main` is the object's schema where they run both ways, and
/// `identifiers` is a field.
pub(super) fn add(
    compiler: &mut Compiler<'_>,
    scope: &mut Scope,
    object: &str,
    start: &Start,
    main: Option<Cursor<'_>>,
    at: &Place,
) {
    let object = Name::from(object);
    let list = Name::from("identifier");
    let own = Selector { tests: vec![Test::Own(true, Arc::clone(&object))], own: true, ..Selector::default() };
    let id = Rule {
        at: at.clone(),
        internal: vec!["id".into()],
        target: Target {
            part: start.part,
            steps: vec![Step::Item(Arc::clone(&list), Arc::new(own))],
            leaf: Leaf::Member { name: "value".into(), beside: Some("_value".into()), siblings: Vec::new() },
            text: format!("{}.identifier[ours].value", start.prefix).into(),
            type_name: "string".into(),
        },
        fit: main.and_then(|schema| compiler.fit(&Kind::Leaf(Transform::Copy), schema.field("id"), None)),
        kind: Kind::Leaf(Transform::Copy),
        default: None,
        absent: None,
        direction: if main.is_some() { Direction::Both } else { Direction::ToFhir },
        lossy: None,
        owner: None,
        merging: Merging::default(),
        condition: None,
        doc: Some("our identifier".into()),
    };
    let mut rules = vec![id];
    if let Some(schema) = main
        && let Some(others) = identifiers(compiler, scope, &object, start, schema, at)
    {
        rules.push(others);
    }
    rules.append(&mut scope.rules);
    scope.rules = rules;
}

fn identifiers(
    compiler: &mut Compiler<'_>,
    scope: &Scope,
    object: &Name,
    start: &Start,
    schema: Cursor<'_>,
    at: &Place,
) -> Option<Rule> {
    let shape = Shape::of_type(&compiler.definitions, "Identifier")?;
    let fragment = compiler.shared.fragments.get("identifier")?;
    let prefix = format!("{}.identifier", start.prefix);
    let inner = Start { part: start.part, shape: shape.clone(), prefix: prefix.clone(), constants: Arc::default() };
    let nodes = compiler.expand(&fragment.rules, &shape)?;
    let scope_of_item = compiler.scope(
        &nodes,
        &Within {
            start: inner,
            schema: schema.field("identifiers").and_then(Cursor::items),
            field: "identifiers".to_owned(),
        },
    );
    let mut tests = vec![Test::Own(false, Arc::clone(object))];
    // An identifier that has a rule of its own is not among the others.
    tests.extend(scope.rules.iter().filter_map(|rule| {
        let select = match (rule.target.steps.first(), &rule.target.leaf) {
            (Some(Step::Item(name, select)), _) if &**name == "identifier" => select,
            (None, Leaf::List { name, select, .. }) if &**name == "identifier" => select,
            _ => return None,
        };
        Some(Test::Not(Arc::clone(select)))
    }));
    Some(Rule {
        at: at.clone(),
        internal: vec!["identifiers".into()],
        target: Target {
            part: start.part,
            steps: Vec::new(),
            leaf: Leaf::List {
                name: "identifier".into(),
                beside: None,
                select: Arc::new(Selector { tests, ..Selector::default() }),
            },
            text: format!("{prefix}[others]").into(),
            type_name: "Identifier".into(),
        },
        fit: None,
        kind: Kind::Each { scope: scope_of_item, by: vec!["system".into(), "value".into()] },
        default: None,
        absent: None,
        direction: Direction::Both,
        lossy: None,
        owner: None,
        merging: Merging { key: vec!["system".into(), "value".into()], ..Merging::default() },
        condition: None,
        doc: Some("identifiers that others gave".into()),
    })
}
