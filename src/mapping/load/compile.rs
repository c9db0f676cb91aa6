//! From rules as written to rules as run. One `Compiler` per mapping and dialect; it collects every mistake.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    path::{self, Segment},
    schema::Cursor,
    target::{self, ItemConstant, Resolved, Start, Want},
    yaml::{Mistakes, Node, Place, nearest},
};
use crate::{
    definitions::Definitions,
    fhir::Object,
    mapping::{
        Constant,
        between::Between,
        check::Schema,
        plan::{Condition, Direction, Kind, Leaf, Name, ObjectTable, Rule, Scope, Selector, Step},
        transform::Codes,
    },
};

const KEYS: &[&str] = &[
    "internal",
    "target",
    "transform",
    "concepts",
    "unmapped",
    "default",
    "absent",
    "constant",
    "compute",
    "each",
    "rules",
    "by",
    "if",
    "where",
    "only",
    "lossy",
    "owner",
    "to",
    "system",
    "unit",
    "doc",
    "contained",
    "ordered",
    "key",
    "forms",
    "answers",
];

/// A group of rules for a FHIR type.
#[derive(Debug)]
pub(super) struct Fragment {
    pub(super) type_name: String,
    pub(super) rules: Node,
    /// By what items of a list of them are recognised, where the list's rule says nothing.
    pub(super) key: Option<Node>,
    /// Between the fields of what the rules are about.
    pub(super) checks: Option<Node>,
}

/// What all mappings of a set share while they are compiled.
pub(super) struct Shared {
    pub(super) definitions: Arc<Definitions>,
    pub(super) dialects: super::Dialects,
    pub(super) fragments: BTreeMap<String, Fragment>,
    /// FHIR type → fragment that is used when a rule says nothing.
    pub(super) defaults: BTreeMap<String, String>,
    pub(super) concepts: BTreeMap<String, Arc<Codes>>,
    pub(super) systems: BTreeMap<String, String>,
    pub(super) objects: Arc<ObjectTable>,
    /// Examples may still lack their other side.
    pub(super) drafts: bool,
}

/// Compiles the rules of one mapping for one dialect.
pub(super) struct Compiler<'a> {
    pub(super) shared: &'a Shared,
    pub(super) definitions: Arc<Definitions>,
    pub(super) objects: Arc<ObjectTable>,
    pub(super) mistakes: Mistakes,
    /// Fragments being compiled, to find cycles.
    pub(super) open: Vec<String>,
    /// Element → the rule that writes it.
    pub(super) written: BTreeMap<String, Place>,
    /// Elements whose nested rules are being compiled.
    pub(super) around: Vec<String>,
    pub(super) constants: Vec<Constant>,
    /// Roles and resource types of all parts.
    pub(super) parts: Vec<(String, String)>,
    /// The object's.
    pub(super) schema: Arc<Schema>,
    /// Those of fragments, wherever they are used.
    pub(super) checks: Vec<Between>,
}

/// Where rules are compiled: the FHIR side and the internal side.
#[derive(Clone)]
pub(super) struct Within<'s> {
    pub(super) start: Start,
    pub(super) schema: Option<Cursor<'s>>,
    /// Dotted internal path so far, for messages.
    pub(super) field: String,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(shared: &'a Shared, schema: &Arc<Schema>) -> Self {
        Self {
            shared,
            schema: Arc::clone(schema),
            definitions: Arc::clone(&shared.definitions),
            objects: Arc::clone(&shared.objects),
            mistakes: Mistakes::default(),
            open: Vec::new(),
            written: BTreeMap::new(),
            around: Vec::new(),
            constants: Vec::new(),
            parts: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// The rules of a scope; `nodes` are already expanded (`expand`).
    pub(super) fn scope(&mut self, nodes: &[Node], within: &Within<'_>) -> Scope {
        let mut within = within.clone();
        let (constants, rules): (Vec<&Node>, Vec<&Node>) =
            nodes.iter().partition(|node| node.get("constant").is_some() && node.get("if").is_none());
        let mut template = Object::new();
        let items = self.items(&rules, &within);
        let mut held = Vec::new();
        for node in constants {
            node.only(KEYS, &mut self.mistakes);
            self.constant(node, &within, &items, &mut template, &mut held);
        }
        within.start.constants = Arc::new(held);
        let rules: Vec<Rule> = rules.into_iter().filter_map(|node| self.rule(node, &within)).collect();
        self.same_field_twice(&rules);
        let named: Vec<String> =
            nodes.iter().filter_map(|node| node.get("internal").and_then(Node::text)).map(str::to_owned).collect();
        // The whole object's fields are checked over all parts.
        if let (Some(schema), Some(first), false) = (within.schema, nodes.first(), within.field.is_empty())
            && !named.iter().any(|name| name == ".")
        {
            self.fields_without_rule(&named, schema, "", &first.at.clone());
        }
        Scope { rules, template }
    }

    /// The list items that some rule makes, as canonical paths.
    fn items(&mut self, rules: &[&Node], within: &Within<'_>) -> BTreeSet<String> {
        let mut items = BTreeSet::new();
        for node in rules {
            let Some(segments) = node.get("target").and_then(Node::text).and_then(|text| path::parse(text).ok()) else {
                continue;
            };
            let mut shape = within.start.shape.clone();
            let mut written = Vec::new();
            for segment in self.relative(&segments, within) {
                let Some(next) = shape.child(&segment.name) else { break };
                let list = next.list && !next.is_primitive();
                written.push(if list { target::explicit(&segment) } else { segment });
                if list {
                    items.insert(target::join(&within.start.prefix, &written));
                }
                shape = next;
            }
        }
        items
    }

    /// A path without the resource type or part name at its front.
    fn relative(&self, segments: &[Segment], within: &Within<'_>) -> Vec<Segment> {
        let root = !within.start.prefix.contains('.');
        let is_root =
            |name: &str| self.parts.get(within.start.part).is_some_and(|(role, kind)| role == name || kind == name);
        match segments.split_first() {
            Some((first, rest)) if root && is_root(&first.name) => rest.to_vec(),
            _ => segments.to_vec(),
        }
    }

    fn constant(
        &mut self,
        node: &Node,
        within: &Within<'_>,
        items: &BTreeSet<String>,
        template: &mut Object,
        held: &mut Vec<ItemConstant>,
    ) {
        let (Some(segments), Some(value)) = (self.segments(node, within), node.get("constant").map(Node::json)) else {
            return;
        };
        if let Some(internal) = node.get("internal") {
            let hint = "a constant has no field; a fixed value of a field is `default`";
            self.mistakes.add(&internal.at, "`internal` and `constant` exclude each other", hint);
        }
        let at = self.place(node, "target");
        let mut shape = within.start.shape.clone();
        let (mut written, mut owner) = (Vec::new(), None);
        for (index, segment) in segments.iter().enumerate() {
            let Some(next) = target::child(self, &shape, &segment.name, &at) else { return };
            let last = index + 1 == segments.len();
            let item = next.list && !next.is_primitive() && !(last && value.is_array());
            written.push(if item { target::explicit(segment) } else { segment.clone() });
            let path = target::join(&within.start.prefix, &written);
            if item && items.contains(&path) {
                owner = Some((index, path, next.clone()));
            }
            shape = if next.is_primitive() && !last {
                match Shape::of_type(&self.definitions, "Element") {
                    Some(element) => element,
                    None => return,
                }
            } else {
                next
            };
        }
        let text = target::join(&within.start.prefix, &written);
        self.claim(&text, &node.at);
        self.constants.push(Constant { at: node.at.clone(), target: text.into() });
        match owner {
            Some((index, item, _)) => held.push(ItemConstant { item, rest: segments[index + 1..].to_vec(), value }),
            None => target::build(self, template, &segments, &within.start.shape.clone(), &value, &at),
        }
    }

    pub(super) fn place(&self, node: &Node, key: &str) -> Place {
        node.get(key).map_or_else(|| node.at.clone(), |value| value.at.clone())
    }

    /// The target's segments below the scope.
    fn segments(&mut self, node: &Node, within: &Within<'_>) -> Option<Vec<Segment>> {
        let at = self.place(node, "target");
        let Some(text) = node.get("target").and_then(Node::text) else {
            self.mistakes.add(&at, "the rule has no target", "add `target:` with a path in the FHIR resource");
            return None;
        };
        match path::parse(text) {
            Ok(segments) => Some(self.relative(&segments, within)),
            Err(what) => {
                self.mistakes.add(&at, format!("this path cannot be read: {what}"), "see mappings/README.md, Paths");
                None
            }
        }
    }

    fn rule(&mut self, node: &Node, within: &Within<'_>) -> Option<Rule> {
        let before = self.mistakes.0.len();
        node.only(KEYS, &mut self.mistakes);
        let segments = self.segments(node, within)?;
        let direction = self.direction(node);
        let condition = self.condition(node, "if");
        let where_ = self.condition(node, "where");
        let internal = self.internal(node);
        let field = [within.field.as_str(), &internal.join(".")].join(".").trim_matches('.').to_owned();
        let schema = self.schema_of(node, within, &internal)?;
        let list = schema.is_some_and(Cursor::is_array) || node.get("each").is_some();
        let want = if list { Want::List } else { Want::One };
        let at = self.place(node, "target");
        let mut resolved = target::resolve(self, &segments, &within.start, want, where_.as_ref(), &at)?;
        if direction != Direction::ToInternal {
            self.claim_target(&resolved, &node.at);
        }
        let inner = Within {
            start: Start {
                part: within.start.part,
                shape: resolved.shape.clone(),
                prefix: resolved.target.text.to_string(),
                constants: Arc::default(),
            },
            schema: if list { schema.and_then(Cursor::items) } else { schema },
            field: field.clone(),
        };
        self.around.push(resolved.target.text.to_string());
        let kind = self.kind(node, &inner, list, &internal);
        self.around.pop();
        let kind = kind?;
        into_template(&mut resolved, &kind);
        self.type_clash(node, &kind, &resolved, inner.schema);
        self.slips(node, &kind, &segments, inner.schema);
        let merging = self.merging(node, &kind, &resolved, inner.schema);
        let rule = Rule {
            at: node.at.clone(),
            internal: internal.iter().map(|name| Name::from(name.as_str())).collect(),
            target: resolved.target,
            fit: self.fit(&kind, inner.schema, schema),
            kind,
            default: node.get("default").map(Node::json),
            absent: self.absent(node),
            direction,
            lossy: node.text_at("lossy", &mut self.mistakes).map(Name::from),
            owner: self.owner(node),
            merging,
            condition,
            doc: node.text_at("doc", &mut self.mistakes).map(Name::from),
        };
        self.says_why(node, &rule);
        (self.mistakes.0.len() == before).then_some(rule)
    }

    fn claim_target(&mut self, resolved: &Resolved, at: &Place) {
        let text = resolved.target.text.to_string();
        self.claim(&text, at);
    }

    fn direction(&mut self, node: &Node) -> Direction {
        match node.text_at("only", &mut self.mistakes) {
            None => Direction::Both,
            Some("to_fhir") => Direction::ToFhir,
            Some("to_internal") => Direction::ToInternal,
            Some(_) => {
                let at = self.place(node, "only");
                self.mistakes.add(&at, "`only` is `to_fhir` or `to_internal`", "leave it out for both directions");
                Direction::Both
            }
        }
    }

    pub(super) fn condition(&mut self, node: &Node, key: &str) -> Option<Condition> {
        let text = node.text_at(key, &mut self.mistakes)?;
        match Condition::parse(text) {
            Ok(condition) => Some(condition),
            Err(error) => {
                let at = self.place(node, key);
                self.mistakes.add(&at, format!("`{key}` is no FHIRPath: {error}"), "");
                None
            }
        }
    }

    /// The internal path; empty for `.` and for rules without field.
    fn internal(&mut self, node: &Node) -> Vec<String> {
        match node.text_at("internal", &mut self.mistakes) {
            None | Some(".") => Vec::new(),
            Some(text) => text.split('.').map(str::to_owned).collect(),
        }
    }

    /// The field's schema. `None`: the rule cannot be compiled; `Some(None)`: it has no field.
    fn schema_of<'s>(&mut self, node: &Node, within: &Within<'s>, internal: &[String]) -> Option<Option<Cursor<'s>>> {
        let Some(text) = node.get("internal").and_then(Node::text) else {
            if node.get("compute").is_none() && node.get("constant").is_none() {
                let hint = "add `internal:` (a field), `constant:` or `compute:`";
                self.mistakes.add(&node.at, "the rule says nothing to write", hint);
                return None;
            }
            return Some(None);
        };
        let Some(mut cursor) = within.schema else { return Some(None) };
        for name in internal {
            match cursor.field(name) {
                Some(next) => cursor = next,
                None => {
                    let at = self.place(node, "internal");
                    let names = cursor.fields();
                    let hint = match nearest(name, names.iter().copied()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("it has: {}", names.join(", ")),
                    };
                    self.mistakes.add(&at, format!("the schema has no field `{text}`"), hint);
                    return None;
                }
            }
        }
        Some(Some(cursor))
    }
}

use super::shape::Shape;

/// A new list item starts with the constants of the rules about it.
fn into_template(resolved: &mut Resolved, kind: &Kind) {
    let (Kind::Group(scope) | Kind::Each { scope, .. }) = kind else { return };
    let Some(select) = resolved.select.take().filter(|_| !scope.template.is_empty()) else { return };
    let mut template = select.template.clone();
    template.extend(scope.template.clone());
    let made = Arc::new(Selector { tests: select.tests.clone(), template, own: select.own });
    match (&mut resolved.target.leaf, resolved.target.steps.last_mut()) {
        (Leaf::List { select, .. }, _) | (Leaf::Here, Some(Step::Item(_, select))) => *select = made,
        _ => {}
    }
}
