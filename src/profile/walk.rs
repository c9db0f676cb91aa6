//! The one walk over a resource against its base types: unknown elements, cardinality, JSON shapes, choices. Owns what
//! is raised. Type-specific checks are in the files beside; profiles are laid over afterwards (`overlay`).

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::Value;

use super::{
    Validator,
    anchors::Anchor,
    bundle::Index,
    options::Options,
    place::{Place, What},
    primitive::Primitive,
    report::{Issue, Report},
    say::Say,
    types::{Alternative, Element, Node, Special, TypePlan, Types},
};
use crate::{definitions::CodeSystem, fhirpath};

/// Deepest nesting that is walked; the reader's own bound is lower for what comes from outside.
const DEPTH: usize = 200;

/// Which resource the walk is in.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// `%resource`.
    pub resource: fhirpath::Node<'a>,
    /// `%rootResource`: for a contained resource its container.
    pub root: fhirpath::Node<'a>,
    /// Index of the bundle entry that holds it.
    pub entry: Option<usize>,
    /// Index in `contained`, if it stands there.
    pub contained_index: Option<usize>,
}

impl<'a> Scope<'a> {
    /// The resource that holds the contained resources, as JSON.
    pub fn container(&self) -> Option<&'a Value> {
        self.root.value()
    }
}

/// The state of one validation.
pub struct Walk<'a> {
    /// Plans and definitions.
    pub validator: &'a Validator,
    /// Types.
    pub types: &'a Types,
    /// What is validated.
    pub root: &'a Value,
    /// What was asked.
    pub options: &'a Options,
    /// What was found.
    pub issues: Vec<Issue>,
    /// The outermost bundle, indexed.
    pub index: Index<'a>,
    /// References to fragments within the resource that is walked: contained resource they stand in, and fragment.
    pub fragments: Vec<(Option<usize>, &'a str)>,
    /// Places of the resource that is walked which others of its places point at (`#id`), to be found at its end.
    pub anchors: Vec<Anchor<'a>>,
    /// Ids of elements that were met in the resource that is walked.
    pub ids: HashSet<&'a str>,
    /// Ids anywhere in the outermost resource, once somebody asked.
    pub bundled_places: Option<HashSet<&'a str>>,
    /// Contained resources by id, of the list at this address.
    pub contained_ids: RefCell<Option<(usize, HashMap<&'a str, usize>)>>,
    /// Profiles that are being checked: address of the value, address of the plan.
    pub active: Vec<(usize, usize)>,
    /// Code systems that were asked for.
    pub systems: HashMap<&'a str, Option<Arc<CodeSystem>>>,
    /// Whether a value (by address) meets a profile.
    pub met: HashMap<(usize, String), bool>,
}

impl<'a> Walk<'a> {
    /// Starts a validation.
    pub fn new(validator: &'a Validator, root: &'a Value, options: &'a Options) -> Self {
        let types = &validator.types;
        Self {
            validator,
            types,
            root,
            options,
            issues: Vec::new(),
            index: Index::default(),
            fragments: Vec::new(),
            anchors: Vec::new(),
            ids: HashSet::new(),
            bundled_places: None,
            contained_ids: RefCell::default(),
            active: Vec::new(),
            met: HashMap::new(),
            systems: HashMap::new(),
        }
    }

    /// What was found, each issue once.
    pub fn finish(self) -> Report {
        let mut issues = self.issues;
        let mut seen = HashSet::with_capacity(issues.len());
        let fresh: Vec<bool> =
            issues.iter().map(|issue| seen.insert((issue.severity.code(), &*issue.pointer, &*issue.text))).collect();
        let mut fresh = fresh.into_iter();
        issues.retain(|_| fresh.next().unwrap_or(true));
        Report { issues }
    }

    /// Walks an object as `node` of `plan` describes it.
    pub fn object(
        &mut self,
        plan: &'a TypePlan,
        node: &'a Node,
        value: &'a Value,
        place: &Place<'_>,
        scope: &Scope<'a>,
    ) {
        let Value::Object(members) = value else {
            return self.raise(place, None, Say::error("structure", "json-type", "must be an object"));
        };
        if place.depth() > DEPTH {
            return self.raise(place, None, Say::error("too-costly", "depth", "nested too deeply to be checked"));
        }
        let is_resource = node.ty.kind == fhirpath::Kind::Resource;
        if members.is_empty() {
            self.raise(
                place,
                None,
                Say::error("invalid", "empty", "an object must not be empty; leave it out instead"),
            );
            return;
        }
        let siblings = members.keys().any(|key| key.starts_with('_'));
        let mut seen = Seen::default();
        for (key, value) in members {
            let Some(found) = node.keys.get(key.as_str()) else {
                if !(is_resource && key == "resourceType") {
                    self.unknown(plan, node, key, place);
                }
                continue;
            };
            let element = &node.elements[usize::from(found.element)];
            let alternative = &element.types[usize::from(found.alternative)];
            let name: &str = &alternative.key;
            if found.underscore && members.contains_key(name) {
                continue;
            }
            if !seen.add(found.element) && element.choice {
                let text = format!("only one {}[x] may be given", element.name);
                self.raise(&place.plain(key, None), Some(&plan.structure), Say::error("structure", "choice", text));
            }
            let (value, sibling) = if found.underscore {
                (None, Some(value))
            } else if siblings && alternative.primitive.is_some() {
                (Some(value), members.get(&*alternative.underscore))
            } else {
                (Some(value), None)
            };
            if name == "id" && !is_resource {
                self.element_id(node, value, place);
            }
            self.member(plan, element, alternative, value, sibling, place, scope);
        }
        for required in &node.required {
            if !seen.has(*required) {
                self.missing(plan, &node.elements[usize::from(*required)], place);
            }
        }
        if !node.invariants.is_empty() {
            let focus = fhirpath::Node::new(Some(value), None, node.ty);
            self.invariants(&plan.structure, &node.invariants, focus, place, scope);
        }
    }

    fn unknown(&mut self, plan: &'a TypePlan, node: &'a Node, key: &str, place: &Place<'_>) {
        let near = super::suggest::nearest(key, node.keys.keys().map(AsRef::as_ref));
        let fix = near.map(|near| format!("write '{near}' instead of '{key}'"));
        let text = format!("'{}' is not an element of {}", super::suggest::name(key), node_title(plan, node));
        let say = Say::error("structure", "unknown-element", text);
        self.raise_with_fix(&place.plain(key, None), Some(&plan.structure), say, fix);
    }

    fn missing(&mut self, plan: &'a TypePlan, element: &Element, place: &Place<'_>) {
        let name = &element.name;
        let many = if element.min == 1 { "is".to_owned() } else { format!("({} of them) are", element.min) };
        let text = format!("'{name}' {many} required here and missing");
        self.raise(place, Some(&plan.structure), Say::error("required", "cardinality", text).about([&**name]));
    }

    /// A member of an object: the items of a list, or one value.
    #[expect(clippy::too_many_arguments, reason = "the walk's state is passed on the stack, not kept in a struct")]
    fn member(
        &mut self,
        plan: &'a TypePlan,
        element: &'a Element,
        alternative: &'a Alternative,
        value: Option<&'a Value>,
        sibling: Option<&'a Value>,
        place: &Place<'_>,
        scope: &Scope<'a>,
    ) {
        let chosen = element.choice.then_some(&*alternative.code);
        let (key, name): (&str, &str) = (&alternative.key, &element.name);
        let what = match self.types.path(alternative.ty) {
            Some(path) => What { path, code: &alternative.code },
            None => What { path: &element.path, code: &alternative.code },
        };
        let whole = place.member(key, name, chosen, None, what);
        if !element.list {
            if value.is_some_and(Value::is_array) || sibling.is_some_and(Value::is_array) {
                let text = format!("'{key}' takes one value, not a list");
                return self.raise(&whole, Some(&plan.structure), Say::error("invalid", "json-type", text));
            }
            if value.is_some_and(Value::is_null) && sibling.is_some() {
                let text = format!("'{key}' must not be null; leave it out beside '_{key}'");
                self.raise(&whole, Some(&plan.structure), Say::error("invalid", "json-type", text));
            }
            return self.item(plan, element, alternative, value, sibling, &whole, scope);
        }
        let Some(items) = list(value) else {
            let text = format!("'{key}' takes a list: put the value in [ ]");
            self.raise(&whole, Some(&plan.structure), Say::error("invalid", "json-type", text));
            return self.item(plan, element, alternative, value, sibling, &whole, scope);
        };
        let Some(siblings) = list(sibling) else {
            let text = format!("'_{key}' must be a list like '{key}'");
            return self.raise(&whole, Some(&plan.structure), Say::error("invalid", "json-type", text));
        };
        if (value.is_some() && items.is_empty()) || (sibling.is_some() && siblings.is_empty()) {
            let text = "a list must not be empty; leave it out instead";
            self.raise(&whole, Some(&plan.structure), Say::error("invalid", "empty", text));
        }
        if value.is_some() && sibling.is_some() && items.len() != siblings.len() {
            let text = format!("'{key}' and '_{key}' must have the same number of items");
            self.raise(&whole, Some(&plan.structure), Say::error("invalid", "json-type", text));
        }
        let count = items.len().max(siblings.len());
        if element.max.is_some_and(|max| count > usize::try_from(max).unwrap_or(usize::MAX)) {
            let text = format!("at most {} '{name}' may be given; here are {count}", element.max.unwrap_or(0));
            self.raise(&whole, Some(&plan.structure), Say::error("structure", "cardinality", text));
        } else if count < usize::try_from(element.min).unwrap_or(0) {
            self.missing(plan, element, place);
        }
        for index in 0..count {
            let at = place.member(key, name, chosen, Some(index), what);
            let (value, sibling) = (items.get(index), siblings.get(index).filter(|sibling| !sibling.is_null()));
            self.item(plan, element, alternative, value, sibling, &at, scope);
        }
    }

    /// One value of an element.
    #[expect(clippy::too_many_arguments, reason = "the walk's state is passed on the stack, not kept in a struct")]
    fn item(
        &mut self,
        plan: &'a TypePlan,
        element: &'a Element,
        alternative: &'a Alternative,
        value: Option<&'a Value>,
        sibling: Option<&'a Value>,
        place: &Place<'_>,
        scope: &Scope<'a>,
    ) {
        if let Some(primitive) = alternative.primitive {
            if !self.primitive(plan, primitive, value, sibling, place, scope) {
                if value.is_none_or(Value::is_null) && sibling.is_some() {
                    self.no_code(plan, element, place);
                }
                return;
            }
            if primitive == Primitive::Canonical
                && let Some(Value::String(url)) = value
            {
                self.canonical_target(&alternative.targets, url, place);
            }
        } else {
            let Some(value) = value else { return };
            if value.is_null() {
                let text = "null is allowed only in lists of primitives that have extensions";
                return self.raise(place, None, Say::error("invalid", "json-type", text));
            }
            if alternative.ty.kind == fhirpath::Kind::Resource {
                self.inline_resource(element, value, place, scope);
            } else if let Some((inner_plan, node)) = self.types.content(alternative.ty) {
                self.object(inner_plan, node, value, place, scope);
                if !value.is_object() {
                    return;
                }
            }
            self.special(element, alternative, value, place, scope);
        }
        let focus = fhirpath::Node::new(value, sibling, alternative.ty);
        if let Some(bound) = &element.binding
            && let Some(value) = value
        {
            self.binding(&plan.structure, bound, alternative.special, value, scope.resource.value(), place);
        }
        if !element.invariants.is_empty() {
            self.invariants(&plan.structure, &element.invariants, focus, place, scope);
        }
        if !alternative.profiles.is_empty() {
            self.any_profile(&alternative.profiles, focus, place, scope);
        }
    }

    fn special(
        &mut self,
        element: &'a Element,
        alternative: &'a Alternative,
        value: &'a Value,
        place: &Place<'_>,
        scope: &Scope<'a>,
    ) {
        match alternative.special {
            Special::None => {}
            Special::Extension => self.extension(element, value, place, scope),
            Special::Reference => self.reference(&alternative.targets, value, place, scope),
            Special::Narrative => self.narrative(value, place, scope),
            Special::Identifier => self.identifier(value, place),
            Special::Attachment => self.attachment(value, place),
            Special::Coding => self.coding(value, place),
            Special::Quantity => self.quantity(value, place),
            Special::CodeableConcept => {}
        }
    }
}

fn node_title(plan: &TypePlan, node: &Node) -> String {
    if node.ty.id & 0xffff == 0 {
        return plan.structure.type_name.clone();
    }
    let number = usize::try_from(node.ty.id & 0xffff).unwrap_or(0);
    plan.paths.get(number).cloned().unwrap_or_else(|| plan.structure.type_name.clone())
}

/// A list's items; none where it is something else; empty where it is absent.
fn list(value: Option<&Value>) -> Option<&[Value]> {
    match value {
        None => Some(&[]),
        Some(Value::Array(items)) => Some(items),
        Some(_) => None,
    }
}

/// A set of small numbers without allocation for all objects of ordinary size.
#[derive(Default)]
struct Seen {
    low: u128,
    high: Vec<u16>,
}

impl Seen {
    /// Adds; false if it was there.
    fn add(&mut self, number: u16) -> bool {
        if number < 128 {
            let bit = 1_u128 << number;
            let fresh = self.low & bit == 0;
            self.low |= bit;
            return fresh;
        }
        let fresh = !self.high.contains(&number);
        self.high.push(number);
        fresh
    }

    fn has(&self, number: u16) -> bool {
        if number < 128 { self.low & (1_u128 << number) != 0 } else { self.high.contains(&number) }
    }
}
