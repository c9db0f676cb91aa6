//! Resources as wholes: their type, contained resources (dom-2 to dom-5), narrative (dom-6), and the profiles that they
//! claim or that were asked for.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{
    options::ContainedPolicy,
    place::Place,
    say::Say,
    types::{Element, TypePlan},
    walk::{Scope, Walk},
};
use crate::{
    fhir::{inner, resource_type},
    fhirpath,
};

impl<'a> Walk<'a> {
    /// The plan of a resource's type; raises where it has none.
    pub fn resource_plan(&mut self, value: &'a Value, place: &Place<'_>) -> Option<&'a TypePlan> {
        let say = match value {
            Value::Object(_) => match inner(value, "resourceType") {
                None => Say::error("structure", "resource-type", "a resource must say its 'resourceType'"),
                Some(Value::String(name)) => match self.types.resource(name) {
                    Some(plan) => return Some(plan),
                    None => Say::error("structure", "resource-type", "this resourceType is not one of FHIR R4"),
                },
                Some(_) => Say::error("structure", "resource-type", "'resourceType' must be text"),
            },
            _ => Say::error("structure", "json-type", "a resource must be an object"),
        };
        self.raise(place, None, say);
        None
    }

    /// The resource that is validated.
    pub fn root_resource(&mut self, value: &'a Value) {
        let name = resource_type(value).unwrap_or("Resource");
        let place = Place::root(name);
        let Some(plan) = self.resource_plan(value, &place) else { return };
        let node = fhirpath::Node::new(Some(value), None, plan.nodes[0].ty);
        let scope = Scope { resource: node, root: node, entry: None, contained_index: None };
        self.index = self.indexed(plan, value, &place);
        self.whole(plan, value, &place, &scope);
        for profile in &self.options.profiles {
            self.profile(profile, node, &place, &scope, true);
        }
    }

    /// A resource inside another: contained, a bundle's entry, a parameter.
    pub fn inline_resource(&mut self, element: &'a Element, value: &'a Value, place: &Place<'_>, outer: &Scope<'a>) {
        let contained = &*element.name == "contained";
        if contained && self.options.contained == ContainedPolicy::Ignore {
            return;
        }
        let Some(plan) = self.resource_plan(value, place) else { return };
        let place = &place.typed(&plan.structure.type_name);
        let node = fhirpath::Node::new(Some(value), None, plan.nodes[0].ty);
        let (entry, index) = (place.entry_index().or(outer.entry), place.own_index());
        if contained {
            let scope = Scope { resource: node, root: outer.root, entry, contained_index: index };
            let ids = std::mem::take(&mut self.ids);
            self.contents(plan, value, place, &scope);
            self.ids = ids;
            self.claimed_profiles(node, value, place, &scope);
            return;
        }
        let scope = Scope { resource: node, root: node, entry, contained_index: None };
        self.whole(plan, value, place, &scope);
    }

    /// A resource that is not contained.
    fn whole(&mut self, plan: &'a TypePlan, value: &'a Value, place: &Place<'_>, scope: &Scope<'a>) {
        let outer = (std::mem::take(&mut self.fragments), std::mem::take(&mut self.anchors));
        let ids = std::mem::take(&mut self.ids);
        self.contents(plan, value, place, scope);
        if let Some(Value::Array(contained)) = inner(value, "contained") {
            self.contained(plan, contained, place);
        }
        self.anchored(value);
        (self.fragments, self.anchors) = outer;
        self.ids = ids;
        self.security_labels(value, place);
        if inner(value, "text").is_none_or(|text| inner(text, "div").is_none()) && plan.is_domain {
            self.no_narrative(plan, place);
        }
        self.claimed_profiles(scope.resource, value, place, scope);
    }

    fn contents(&mut self, plan: &'a TypePlan, value: &'a Value, place: &Place<'_>, scope: &Scope<'a>) {
        self.object(plan, &plan.nodes[0], value, place, scope);
        for problem in &plan.problems {
            let text = format!("not everything of {} can be checked: {problem}", plan.structure.type_name);
            self.raise(place, Some(&plan.structure), Say::information("not-supported", "not-checked", text));
        }
        self.particular(plan, value, place, scope);
    }

    fn no_narrative(&mut self, plan: &'a TypePlan, place: &Place<'_>) {
        let Some(severity) = self.options.best_practice.severity() else { return };
        let text = "a resource should have narrative for robust management (dom-6)";
        let say = Say { severity, ..Say::warning("invariant", "dom-6", text) };
        self.raise(place, Some(&plan.structure), say);
    }

    /// dom-2 to dom-5, and ids.
    fn contained(&mut self, plan: &'a TypePlan, contained: &'a [Value], place: &Place<'_>) {
        if self.options.contained == ContainedPolicy::Ignore {
            return;
        }
        let reached = self.reached(contained);
        let mut ids = HashSet::new();
        for (index, inner) in contained.iter().enumerate() {
            let at = place.plain("contained", Some(index));
            if inner.get("contained").is_some() {
                let text = "a contained resource must not contain resources of its own (dom-2)";
                self.raise(&at, Some(&plan.structure), Say::error("invariant", "dom-2", text));
            }
            let meta = inner.get("meta");
            if meta.is_some_and(|meta| meta.get("versionId").is_some() || meta.get("lastUpdated").is_some()) {
                let text = "a contained resource must not have meta.versionId or meta.lastUpdated (dom-4)";
                self.raise(&at, Some(&plan.structure), Say::error("invariant", "dom-4", text));
            }
            if meta.is_some_and(|meta| meta.get("security").is_some()) {
                let text = "a contained resource must not have security labels of its own (dom-5)";
                self.raise(&at, Some(&plan.structure), Say::error("invariant", "dom-5", text));
            }
            let Some(id) = inner.get("id").and_then(Value::as_str) else {
                let text = "a contained resource must have an id, so that it can be referred to";
                self.raise(&at, Some(&plan.structure), Say::error("invariant", "dom-3", text));
                continue;
            };
            if !ids.insert(id) {
                let text = "two contained resources have the same id";
                self.raise(&at, Some(&plan.structure), Say::error("invalid", "duplicate-id", text));
            }
            if !reached[index] {
                let text =
                    "a contained resource must be referred to from the resource that holds it, or refer to it (dom-3)";
                self.raise(&at, Some(&plan.structure), Say::error("invariant", "dom-3", text));
            }
        }
    }

    /// Which contained resources belong to their container: it refers to them, they refer to it, or another that
    /// belongs refers to them.
    fn reached(&self, contained: &'a [Value]) -> Vec<bool> {
        let by_id: HashMap<&str, usize> =
            contained.iter().enumerate().filter_map(|(at, it)| Some((it.get("id")?.as_str()?, at))).collect();
        let mut open = Vec::new();
        let mut links = vec![Vec::new(); contained.len()];
        // What stands in a contained resource's own contained ones (dom-2) has an index of another list
        let own = |from: &&(Option<usize>, &str)| from.0.is_none_or(|from| from < contained.len());
        for (from, fragment) in self.fragments.iter().filter(own) {
            match (from, by_id.get(fragment)) {
                (None, Some(to)) => open.push(*to),
                (Some(from), Some(to)) => links[*from].push(*to),
                (Some(from), None) if fragment.is_empty() => open.push(*from),
                _ => {}
            }
        }
        let mut reached = vec![false; contained.len()];
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut reached[at], true) {
                open.extend(&links[at]);
            }
        }
        reached
    }

    /// The profiles that a resource claims, and those that the guides in use demand of all of its type.
    fn claimed_profiles(&mut self, node: fhirpath::Node<'a>, value: &'a Value, place: &Place<'_>, scope: &Scope<'a>) {
        let definitions = &self.types.definitions;
        for profile in resource_type(value).map(|kind| definitions.globals(kind)).unwrap_or_default() {
            self.profile(profile, node, place, scope, false);
        }
        let Some(Value::Array(claimed)) = inner(value, "meta").and_then(|meta| inner(meta, "profile")) else { return };
        for profile in claimed.iter().filter_map(Value::as_str) {
            self.profile(profile, node, place, scope, false);
        }
    }
}
