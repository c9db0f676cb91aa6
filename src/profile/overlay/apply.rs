//! Lays a compiled profile over a value.

use std::sync::Arc;

use super::{
    Demand, ProfilePlan,
    bounds::shown,
    items::{self, Item, Items},
    value,
};
use crate::{
    definitions::Structure,
    fhirpath::{Model, Node},
    profile::{
        place::Place,
        say::Say,
        suggest,
        types::Special,
        walk::{Scope, Walk},
    },
};

/// How deeply profiles may ask for profiles.
const DEPTH: usize = 24;

impl<'a> Walk<'a> {
    /// Lays the profile with this canonical over `focus`; `asked` if the caller wants it, not the resource.
    pub fn profile(&mut self, canonical: &str, focus: Node<'a>, place: &Place<'_>, scope: &Scope<'a>, asked: bool) {
        let Some(plan) = self.validator.profile_plan(canonical) else {
            let text = format!("the profile {} is not at hand, so it was not checked", suggest::name(canonical));
            let say = if asked {
                Say::error("not-found", "profile", text)
            } else {
                Say::warning("not-found", "profile", text)
            };
            return self.raise(place, None, say.about(["meta"]));
        };
        let own = self.types.name(focus.ty());
        let wanted = &plan.structure.type_name;
        if own != wanted && !self.types.is_a(focus.ty(), self.types.root(wanted)) {
            let text = format!("the profile {} is for {wanted}, not for {own}", plan.structure.canonical());
            return self.raise(
                place,
                Some(&plan.structure),
                Say::error("structure", "profile-type", text).about(["meta"]),
            );
        }
        self.plan(&plan, focus, place, scope);
    }

    /// Lays a plan over `focus`.
    pub fn plan(&mut self, plan: &Arc<ProfilePlan>, focus: Node<'a>, place: &Place<'_>, scope: &Scope<'a>) {
        // The same profile on the same value within itself: cyclic references; it is being checked already.
        let key = (address(focus), Arc::as_ptr(plan) as usize);
        if self.active.contains(&key) {
            return;
        }
        if self.active.len() >= DEPTH {
            let text = "profiles ask for profiles more deeply than is checked";
            return self.raise(place, Some(&plan.structure), Say::warning("too-costly", "depth", text));
        }
        self.active.push(key);
        if plan.structure.is_partial {
            let text = format!("{} derives from a profile that is not at hand", plan.structure.canonical());
            self.raise(place, Some(&plan.structure), Say::error("not-found", "profile-base", text).about(["meta"]));
        }
        if let Some(circle) = &plan.circle {
            let text = format!(
                "the profile {} cannot be used, for what it derives from leads back: {circle}",
                plan.structure.canonical()
            );
            self.raise(
                place,
                Some(&plan.structure),
                Say::error("business-rule", "profile-circle", text).about(["meta"]),
            );
        }
        for problem in &plan.problems {
            let text = format!("not everything of {} can be checked: {problem}", plan.structure.canonical());
            self.raise(place, Some(&plan.structure), Say::information("not-supported", "not-checked", text));
        }
        self.invariants(&plan.structure, &plan.root.invariants, focus, place, scope);
        self.node_demand(&plan.structure, &plan.root, focus, place, scope);
        for imposed in &plan.imposed {
            self.profile(imposed, focus, place, scope, false);
        }
        self.active.pop();
    }

    /// Whether `focus` meets a profile; one that is not at hand is held to be met, and said.
    pub fn meets(&mut self, canonical: &str, focus: Node<'a>, place: &Place<'_>, scope: &Scope<'a>) -> bool {
        let key = (address(focus), canonical.to_owned());
        if let Some(known) = self.met.get(&key) {
            return *known;
        }
        let outer = std::mem::take(&mut self.issues);
        self.profile(canonical, focus, place, scope, false);
        let met = !self.issues.iter().any(|issue| issue.severity <= crate::fhir::outcome::Severity::Error);
        self.issues = outer;
        if self.active.is_empty() {
            self.met.insert(key, met);
        }
        met
    }

    /// Lays one of several profiles over `focus`.
    pub fn any_profile(&mut self, profiles: &[String], focus: Node<'a>, place: &Place<'_>, scope: &Scope<'a>) {
        if let [profile] = profiles {
            return self.profile(profile, focus, place, scope, false);
        }
        if !profiles.iter().any(|profile| self.meets(profile, focus, place, scope)) {
            let text = format!("this meets none of the profiles of which it must meet one: {}", profiles.join(", "));
            self.raise(place, None, Say::error("structure", "profile", text));
        }
    }

    /// What is demanded of a value itself, and below it.
    fn node_demand(
        &mut self,
        structure: &Structure,
        demand: &Demand,
        focus: Node<'a>,
        place: &Place<'_>,
        scope: &Scope<'a>,
    ) {
        if let Some(value) = focus.value() {
            self.values(structure, demand, focus, value, place, scope);
        }
        for child in &demand.children {
            let found = items::children(self.types, focus, &child.name);
            self.list_demand(structure, child, &found, place, scope);
        }
    }

    fn values(
        &mut self,
        structure: &Structure,
        demand: &Demand,
        focus: Node<'a>,
        value: &'a serde_json::Value,
        place: &Place<'_>,
        scope: &Scope<'a>,
    ) {
        if let Some(fixed) = &demand.fixed
            && !value::is_fixed(fixed, value)
        {
            let text = format!("{} must be exactly what the profile fixes: {}", demand.id, shown(fixed));
            self.raise(place, Some(structure), Say::error("value", "fixed", text));
        }
        if let Some(pattern) = &demand.pattern
            && !value::fits(pattern, value)
        {
            let text = format!("{} must hold at least what the profile's pattern says: {}", demand.id, shown(pattern));
            self.raise(place, Some(structure), Say::error("value", "pattern", text));
        }
        self.bounds(structure, demand, value, place);
        if let Some(bound) = &demand.binding {
            let special = Special::of(self.types.name(focus.ty()));
            self.binding(structure, bound, special, value, scope.resource.value(), place);
        }
    }

    /// What is demanded of all the items of an element.
    fn list_demand(
        &mut self,
        structure: &Structure,
        demand: &Demand,
        items: &Items<'a>,
        parent: &Place<'_>,
        scope: &Scope<'a>,
    ) {
        let count = items.len();
        if count < usize::try_from(demand.min).unwrap_or(0) {
            let text = format!("{} is required {} time(s) but found {count} time(s)", demand.id, demand.min);
            self.raise(parent, Some(structure), Say::error("required", "cardinality", text).about([&*demand.name]));
        }
        if let Some(max) = demand.max.filter(|max| count > usize::try_from(*max).unwrap_or(usize::MAX)) {
            let text = match max {
                0 => format!("{} is not allowed here", demand.id),
                _ => format!("{} is allowed at most {max} time(s) but found {count} time(s)", demand.id),
            };
            let index = usize::try_from(max).unwrap_or(0);
            self.raise(&items[index].place(parent), Some(structure), Say::error("structure", "cardinality", text));
        }
        if count == 0 && demand.must_support && self.options.must_support {
            let text = format!("{} must be supported and is not given", demand.id);
            self.raise(parent, Some(structure), Say::information("informational", "must-support", text));
        }
        for item in items {
            self.item_demand(structure, demand, item, parent, scope);
        }
        if let Some(slicing) = &demand.slicing {
            self.sliced(structure, demand, slicing, items, parent, scope);
        }
    }

    /// What is demanded of one item.
    pub(super) fn item_demand(
        &mut self,
        structure: &Structure,
        demand: &Demand,
        item: &Item<'a>,
        parent: &Place<'_>,
        scope: &Scope<'a>,
    ) {
        let place = item.place(parent);
        let code = item.code();
        if let Some(codes) = &demand.types
            && !codes
                .iter()
                .any(|allowed| &**allowed == code || self.types.is_a(item.node.ty(), self.types.root(allowed)))
        {
            let text = format!("{} must be of type {}, not {code}", demand.id, codes.join(" or "));
            return self.raise(&place, Some(structure), Say::error("structure", "type", text));
        }
        let is_resource = item.alternative.ty.kind == crate::fhirpath::Kind::Resource;
        let inner = if is_resource { self.inner_scope(item, &place, scope) } else { *scope };
        for (of, profiles) in &demand.profiles {
            // Each type's profiles are for that type; `Resource` is any
            if &**of == code || (is_resource && self.types.is_a(item.node.ty(), self.types.root(of))) {
                self.any_profile(profiles, item.node, &place, &inner);
            }
        }
        let own = &*item.alternative.code;
        if own == "Reference" {
            self.aggregation(structure, demand, item.node, &place, scope);
        }
        for (_, targets) in demand.targets.iter().filter(|of| &*of.0 == own) {
            match (own, item.node.value()) {
                ("canonical", Some(serde_json::Value::String(url))) => self.canonical_target(targets, url, &place),
                ("Reference", _) => self.target_profiles(structure, targets, item.node, &place, scope),
                _ => {}
            }
        }
        // Rules that stand on an element that holds a resource are seen from the resource around it.
        self.invariants(structure, &demand.invariants, item.node, &place, scope);
        self.node_demand(structure, demand, item.node, &place, &inner);
    }

    fn inner_scope(&self, item: &Item<'a>, place: &Place<'_>, scope: &Scope<'a>) -> Scope<'a> {
        let contained = &*item.element.name == "contained";
        Scope {
            resource: item.node,
            root: if contained { scope.root } else { item.node },
            entry: place.entry_index().or(scope.entry),
            contained_index: if contained { item.index } else { None },
        }
    }
}

fn address(node: Node<'_>) -> usize {
    node.value().or_else(|| node.sibling()).map_or(0, |value| std::ptr::from_ref(value) as usize)
}
