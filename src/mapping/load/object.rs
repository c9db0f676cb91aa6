//! One object's folder: head, schema, examples, and a plan for the base mapping and each overlay.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{
    Files, Shared, between,
    compile::{Compiler, Within},
    examples, head, identity, json, limits, merging,
    overlay::{self, Effective},
    path,
    schema::{self, Cursor},
    shape::Shape,
    slips, standing,
    target::{self, Start, Want},
    yaml::{Mistakes, Node, Place, nearest},
};
use crate::fhir::{Limits, Positions};
use crate::mapping::{
    check::Schema,
    engine::{Link, Plan},
    merge::FieldRule,
    plan::{Condition, Name, PartPlan, Scope},
    set::{Loaded, ObjectType},
};

/// Loads a folder; none if its head or schema cannot be used at all.
pub(super) fn load(
    name: &str,
    node: &Node,
    files: &Files,
    shared: &Shared,
    common: &Value,
    mistakes: &mut Mistakes,
) -> Option<Loaded> {
    node.only(head::HEAD, mistakes);
    if node.text_at("object", mistakes) != Some(name) {
        mistakes.add(&node.at, "`object` must be the folder's name", format!("write `object: {name}`"));
    }
    let Some(resource) = node.text_at("resource", mistakes) else {
        mistakes.add(&node.at, "the mapping does not say its `resource`", "for instance `resource: Appointment`");
        return None;
    };
    let schema_path = format!("{name}/internal.schema.json");
    let Some(text) = files.0.get(&schema_path) else {
        mistakes.add(&node.at, format!("{schema_path} is missing"), "every object has a JSON Schema");
        return None;
    };
    let raw = json(&schema_path, text, mistakes)?;
    let identified = node.get("identifier").is_none_or(|flag| flag.json() != Value::Bool(false));
    if slips::unknown_shapes(&schema_path, text, &raw, common, mistakes) {
        return None;
    }
    let schema = schema::complete(&raw, common, identified);
    let checker = match Schema::new(schema) {
        Ok(checker) => Arc::new(checker),
        Err((pointer, what)) => {
            let (line, column) = Positions::of(text.as_bytes(), Limits::default()).find(&pointer);
            let at = Place { file: schema_path.as_str().into(), line, column };
            mistakes.add(
                &at,
                format!("the schema cannot be used: {what}"),
                "see https://json-schema.org/draft/2020-12",
            );
            return None;
        }
    };
    let overlays = overlays(name, files, shared, mistakes);
    let words = |field: &str| {
        let words = Cursor::root(checker.json()).field(field)?.words()?;
        Some(words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect())
    };
    let base =
        Effective { transitions: node.get("transitions").cloned().into_iter().collect(), ..Effective::default() };
    let mut dialects: Vec<&str> = vec!["generic"];
    dialects.extend(overlays.keys().map(String::as_str).filter(|name| *name != "generic"));
    let (mut plans, mut checks) = (BTreeMap::new(), Vec::new());
    for dialect in dialects {
        let mut compiler = Compiler::new(shared, &checker);
        let mut effective = base.clone();
        effective.rules = rules(node, &mut compiler, resource);
        for overlay in overlay::chain(dialect, &overlays, &shared.dialects, &mut compiler.mistakes) {
            effective.apply(overlay, &mut compiler.mistakes);
        }
        let narrowed = effective.transitions.len() > base.transitions.len();
        let mut transitions = None;
        for node in &effective.transitions {
            transitions = head::transitions(node, transitions.as_ref(), &words, &mut compiler.mistakes);
        }
        let plan = plan(name, dialect, node, resource, effective, &mut compiler, &checker, identified);
        for mistake in std::mem::take(&mut compiler.mistakes.0) {
            if !mistakes.0.contains(&mistake) {
                mistakes.0.push(mistake);
            }
        }
        if dialect == "generic" {
            checks = std::mem::take(&mut compiler.checks);
        }
        if let Some(mut plan) = plan {
            plan.transitions = transitions;
            plan.narrowed = narrowed;
            plan.version = examples::version(name, &overlay::line(dialect, &shared.dialects), files);
            plans.insert(Name::from(dialect), Arc::new(plan));
        }
    }
    named_fields(node, Cursor::root(checker.json()), mistakes);
    if let Some(own) = node.get("checks") {
        checks.splice(0..0, between::read(own, &[], Cursor::root(checker.json()), mistakes));
    }
    let standing = node.get("standing").map(|node| standing::read(node, Cursor::root(checker.json()), mistakes));
    let (examples, refusals) = examples::read(name, files, node, shared.drafts, mistakes);
    let text = |key: &str| node.get(key).and_then(Node::text);
    let when = text("when").and_then(|text| match Condition::parse(text) {
        Ok(condition) => Some(condition),
        Err(error) => {
            let at = node.get("when").map_or(&node.at, |when| &when.at);
            mistakes.add(at, format!("`when` is no FHIRPath: {error}"), "");
            None
        }
    });
    let plural = text("plural").map_or_else(|| format!("{name}s"), str::to_owned);
    let object = ObjectType {
        name: name.into(),
        plural: plural.into(),
        title: text("title").unwrap_or(name).into(),
        resource: resource.into(),
        profiles: node.get("profile").and_then(Node::texts).unwrap_or_default(),
        when,
        schema: checker,
        transitions: plans.get("generic").and_then(|plan| plan.transitions.clone()),
        reread: node.get("reread").map(|node| head::reread(node, mistakes)).unwrap_or_default(),
        checks,
        standing: standing.unwrap_or_default(),
        examples,
        refusals,
    };
    Some(Loaded { object: Arc::new(object), plans })
}

/// Fields that the head names.
fn named_fields(node: &Node, schema: Cursor<'_>, mistakes: &mut Mistakes) {
    let items = node.get("reread").and_then(Node::list).unwrap_or_default();
    let reread = items.iter().filter_map(|item| item.get("field"));
    let transitions = node.get("transitions");
    let table = ["field", "reason"].into_iter().filter_map(|key| transitions?.get(key));
    reread.chain(table).for_each(|named| slips::field(named, schema, mistakes));
}

fn overlays(name: &str, files: &Files, shared: &Shared, mistakes: &mut Mistakes) -> BTreeMap<String, Node> {
    let mut overlays = BTreeMap::new();
    for (path, file, text) in files.within(name) {
        let Some(stem) = file.strip_suffix(".yaml").filter(|stem| *stem != "mapping") else { continue };
        let Some(node) = Node::read(&path.into(), text, mistakes) else { continue };
        if node.text_at("overlay", mistakes) != Some(stem) {
            mistakes.add(&node.at, "`overlay` must be the file's name", format!("write `overlay: {stem}`"));
        }
        if !shared.dialects.contains_key(stem) {
            let known = shared.dialects.keys().map(String::as_str).chain(["mapping"]);
            let hint = match nearest(stem, known) {
                Some(near) => format!("did you mean {near}.yaml?"),
                None => "name it in dialects.yaml, with a `title` and a `why`".to_owned(),
            };
            mistakes.add(&node.at, format!("there is no dialect `{stem}`"), hint);
        }
        overlays.insert(stem.to_owned(), node);
    }
    overlays
}

/// The mapping's own rules, fragments put in.
fn rules(node: &Node, compiler: &mut Compiler<'_>, resource: &str) -> Vec<Node> {
    let Some(rules) = node.get("rules") else {
        compiler.mistakes.add(&node.at, "the mapping has no rules", "add `rules:`");
        return Vec::new();
    };
    match Shape::of_type(&compiler.definitions, resource) {
        Some(shape) => compiler.expand(rules, &shape).unwrap_or_default(),
        None => Vec::new(),
    }
}

struct PartHead {
    role: String,
    resource: String,
    node: Option<Node>,
}

fn part_heads(node: &Node, resource: &str, mistakes: &mut Mistakes) -> Vec<PartHead> {
    let mut heads = vec![PartHead { role: super::super::MAIN.to_owned(), resource: resource.to_owned(), node: None }];
    for (role, part) in node.get("parts").map_or(&[][..], Node::members) {
        part.only(&["resource", "link", "if", "identifier"], mistakes);
        match part.text_at("resource", mistakes) {
            Some(kind) => {
                heads.push(PartHead { role: role.text.clone(), resource: kind.to_owned(), node: Some(part.clone()) });
            }
            None => mistakes.add(&part.at, "a part needs its `resource`", "for instance `resource: Task`"),
        }
    }
    heads
}

#[expect(clippy::too_many_arguments, reason = "all that a plan is made of; a struct for one call would hide it")]
fn plan(
    name: &str,
    dialect: &str,
    node: &Node,
    resource: &str,
    effective: Effective,
    compiler: &mut Compiler<'_>,
    checker: &Arc<Schema>,
    identified: bool,
) -> Option<Plan> {
    let schema = checker.json();
    let heads = part_heads(node, resource, &mut compiler.mistakes);
    compiler.parts = heads.iter().map(|head| (head.role.clone(), head.resource.clone())).collect();
    let mut of_part: Vec<Vec<Node>> = heads.iter().map(|_| Vec::new()).collect();
    for rule in effective.rules.iter() {
        of_part[part_of(rule, compiler)].push(rule.clone());
    }
    let (mut parts, mut links) = (Vec::new(), Vec::new());
    for (index, head) in heads.iter().enumerate() {
        let Some(shape) = Shape::of_type(&compiler.definitions, &head.resource) else {
            let at = head.node.as_ref().map_or(&node.at, |node| &node.at).clone();
            compiler.mistakes.add(
                &at,
                format!("`{}` is no FHIR resource type", head.resource),
                "see https://hl7.org/fhir/R4/resourcelist.html",
            );
            return None;
        };
        let start =
            Start { part: index, shape: shape.clone(), prefix: head.resource.clone(), constants: Arc::default() };
        let within = Within { start: start.clone(), schema: Some(Cursor::root(schema)), field: String::new() };
        let mut scope: Scope = compiler.scope(&of_part[index], &within);
        let own_flag = head.node.as_ref().and_then(|node| node.get("identifier"));
        let wants = own_flag.map_or(identified, |flag| flag.json() != Value::Bool(false));
        if wants && shape.child("identifier").is_some_and(|child| child.list) {
            let schema = (index == 0).then(|| Cursor::root(schema));
            identity::add(compiler, &mut scope, name, &start, schema, &node.at);
        }
        if let Some(link) = head.node.as_ref().and_then(|part| part.get("link")) {
            links.extend(self::link(compiler, link, index, &heads));
        }
        let condition = head.node.as_ref().and_then(|part| compiler.condition(part, "if"));
        let carrier = head.resource == "Binary" && of_part[index].is_empty();
        if let Some(part) = head.node.as_ref().filter(|_| of_part[index].is_empty() && !carrier) {
            let hint = format!("add rules whose target starts with `{}`, or remove the part", head.resource);
            compiler.mistakes.add(&part.at, format!("no rule is about the part `{}`", head.role), hint);
        }
        let (role, resource) = (head.role.as_str().into(), head.resource.as_str().into());
        parts.push(PartPlan { role, resource, condition, scope, carrier });
    }
    // What the scopes could not see: fields that no part's rules name.
    let mut named: Vec<String> = effective
        .rules
        .iter()
        .filter_map(|rule| rule.get("internal").and_then(Node::text))
        .map(str::to_owned)
        .collect();
    named.extend(effective.left_out.iter().map(|(field, _)| field.clone()));
    named.extend(["id", "version", "identifiers"].map(str::to_owned));
    compiler.fields_without_rule(&named, Cursor::root(schema), "", &node.at);
    let owner = compiler.owner(node).unwrap_or_default();
    let mut fields = FieldRule::of(&parts, owner);
    for node in &effective.answers {
        merging::overlaid(node, &mut fields, Cursor::root(schema), &mut compiler.mistakes);
    }
    let limits = effective.limits.iter();
    let limits = limits
        .filter_map(|(item, why)| limits::limit(item, why, Cursor::root(schema), &mut compiler.mistakes))
        .collect();
    let writes = effective.writes.as_ref();
    let writes = writes.map(|(node, why)| limits::writes(node, why.as_deref(), &mut compiler.mistakes));
    let dialect_title = compiler.shared.dialects.get(dialect).map_or(dialect, |known| &known.title);
    Some(Plan {
        object: name.into(),
        dialect: dialect.into(),
        dialect_title: dialect_title.into(),
        writes: writes.unwrap_or_default(),
        narrowed: false,
        limits,
        title: node.get("title").and_then(Node::text).unwrap_or(name).into(),
        parts,
        links,
        constants: std::mem::take(&mut compiler.constants),
        schema: Arc::clone(checker),
        left_out: effective.left_out,
        lost: std::sync::OnceLock::new(),
        objects: Arc::clone(&compiler.objects),
        fields,
        transitions: None,
        version: String::new(),
    })
}

/// The part that a rule's target names at its front; the main one if it names none (told as a mistake).
fn part_of(rule: &Node, compiler: &mut Compiler<'_>) -> usize {
    let Some(text) = rule.get("target").and_then(Node::text) else { return 0 };
    let Some(root) = path::parse(text).ok().and_then(|segments| segments.first().map(|first| first.name.clone()))
    else {
        return 0;
    };
    let by_role = compiler.parts.iter().position(|(role, _)| *role == root);
    match by_role.or_else(|| compiler.parts.iter().position(|(_, kind)| *kind == root)) {
        Some(index) => index,
        None => {
            let at = compiler.place(rule, "target");
            let roots: Vec<&str> = compiler.parts.iter().map(|(_, kind)| kind.as_str()).collect();
            let hint = format!("start with: {}", roots.join(", "));
            compiler.mistakes.add(&at, format!("`{root}` is neither the resource nor a part of this mapping"), hint);
            0
        }
    }
}

fn link(compiler: &mut Compiler<'_>, node: &Node, part: usize, heads: &[PartHead]) -> Option<Link> {
    let mut segments = match path::parse(node.text().unwrap_or_default()) {
        Ok(segments) => segments,
        Err(what) => {
            compiler.mistakes.add(&node.at, format!("this path cannot be read: {what}"), "");
            return None;
        }
    };
    let root = segments.remove(0).name;
    let Some(holder) = [part, 0].into_iter().find(|index| heads[*index].resource == root || heads[*index].role == root)
    else {
        compiler.mistakes.add(&node.at, "a link stands in the part or in the main resource", "start with its type");
        return None;
    };
    let to = if holder == part { &heads[0] } else { &heads[part] };
    let shape = Shape::of_type(&compiler.definitions, &heads[holder].resource)?;
    let start = Start { part: holder, shape, prefix: heads[holder].resource.clone(), constants: Arc::default() };
    let resolved = target::resolve(compiler, &segments, &start, Want::One, None, &node.at)?;
    if resolved.shape.type_name != "Reference" {
        compiler.mistakes.add(&node.at, "a link is a reference", "name an element of type Reference");
        return None;
    }
    Some(Link { target: resolved.target, to: to.resource.as_str().into() })
}
