//! Which slice an item belongs to, and what slices demand of the list.

use smallvec::{SmallVec, smallvec};

use super::{
    Demand, ProfilePlan, Slice, Slicing,
    discriminator::{Step, Test, Wanted},
    items::{self, Item},
    value,
};
use crate::{
    definitions::{Rules, Structure},
    fhir::inner,
    fhirpath::{Model, Node},
    profile::{
        binding::{Belongs, belongs},
        place::Place,
        say::Say,
        types::Special,
        walk::{Scope, Walk},
    },
};

/// Where a test's path has led: mostly to one place.
type Reached<'a> = SmallVec<[(Node<'a>, Scope<'a>); 1]>;

impl<'a> Walk<'a> {
    /// Sorts the items of a list into slices, and checks each slice.
    pub(super) fn sliced(
        &mut self,
        structure: &Structure,
        whole: &Demand,
        slicing: &Slicing,
        items: &[Item<'a>],
        parent: &Place<'_>,
        scope: &Scope<'a>,
    ) {
        let mut members: Vec<Vec<Item<'a>>> = vec![Vec::new(); slicing.slices.len()];
        let (mut last, mut unmatched) = (0, false);
        for item in items {
            let found = slicing.slices.iter().position(|slice| self.belongs_to(slice, item, parent, scope));
            let found = found.or_else(|| slicing.slices.iter().position(|slice| &*slice.name == "@default"));
            let at = item.place(parent);
            let Some(found) = found else {
                unmatched = true;
                self.no_slice(structure, whole, slicing, &at);
                continue;
            };
            if slicing.ordered && found < last {
                let text = format!("the slices of {} must stand in the profile's order", whole.id);
                self.raise(&at, Some(structure), Say::error("structure", "slice-order", text));
            }
            if slicing.rules == Rules::OpenAtEnd && unmatched {
                let text = format!("items that are in no slice of {} must stand at the end", whole.id);
                self.raise(&at, Some(structure), Say::error("structure", "slice-order", text));
            }
            last = last.max(found);
            members[found].push(*item);
        }
        for (slice, members) in slicing.slices.iter().zip(&members) {
            self.slice(structure, slice, members, items.first(), parent, scope);
        }
    }

    fn no_slice(&mut self, structure: &Structure, whole: &Demand, slicing: &Slicing, at: &Place<'_>) {
        if slicing.rules != Rules::Closed {
            return;
        }
        // If a slice could not be compiled, the item may be of that one.
        let sure = slicing.slices.iter().all(|slice| slice.tests.is_some());
        let text = format!("this item is in none of the slices of {}, and no others are allowed", whole.id);
        self.raise(at, Some(structure), Say::error_if(sure, "structure", "slice-closed", text));
    }

    /// What one slice demands of its members; `first` is the first item of the list, in this slice or not.
    fn slice(
        &mut self,
        structure: &Structure,
        slice: &Slice,
        members: &[Item<'a>],
        first: Option<&Item<'a>>,
        parent: &Place<'_>,
        scope: &Scope<'a>,
    ) {
        let demand = &slice.demand;
        let count = members.len();
        if count < usize::try_from(demand.min).unwrap_or(0) && slice.tests.is_some() {
            let text = format!("{} is required {} time(s) but found {count} time(s)", demand.id, demand.min);
            let say = Say::error("required", "slice-cardinality", text);
            // The list lacks it, if there is one; one of its items may be meant and be not quite right
            match first {
                Some(item) => self.raise(&item.place(parent).whole(), Some(structure), say),
                None => self.raise(parent, Some(structure), say.about([&*demand.name])),
            }
        }
        if let Some(max) = demand.max.filter(|max| count > usize::try_from(*max).unwrap_or(usize::MAX)) {
            let place = members[usize::try_from(max).unwrap_or(0)].place(parent);
            let text = format!("{} is allowed at most {max} time(s) but found {count} time(s)", demand.id);
            self.raise(&place, Some(structure), Say::error("structure", "slice-cardinality", text));
        }
        for member in members {
            self.item_demand(structure, demand, member, parent, scope);
        }
        if let Some(slicing) = &demand.slicing {
            self.sliced(structure, demand, slicing, members, parent, scope);
        }
    }

    /// Whether a value is in the slice of that name, wherever the profile has it; none where that cannot be told.
    pub fn in_slice(&mut self, plan: &ProfilePlan, name: &str, node: Node<'a>) -> Option<bool> {
        fn find<'d>(demand: &'d Demand, name: &str) -> Option<&'d Slice> {
            let sliced = demand.slicing.iter().flat_map(|slicing| &slicing.slices);
            let own = sliced.clone().find(|slice| &*slice.name == name);
            own.or_else(|| {
                sliced.map(|slice| &slice.demand).chain(&demand.children).find_map(|inner| find(inner, name))
            })
        }
        let tests = find(&plan.root, name)?.tests.as_ref()?;
        let scope = Scope { resource: node, root: node, entry: None, contained_index: None };
        Some(tests.iter().all(|test| self.passes(test, node, &Place::root(""), &scope)))
    }

    fn belongs_to(&mut self, slice: &Slice, item: &Item<'a>, parent: &Place<'_>, scope: &Scope<'a>) -> bool {
        let Some(tests) = &slice.tests else { return false };
        tests.iter().all(|test| self.passes(test, item.node, parent, scope))
    }

    /// Whether a value at the test's path is what is wanted.
    fn passes(&mut self, test: &Test, from: Node<'a>, parent: &Place<'_>, scope: &Scope<'a>) -> bool {
        let mut found: Reached<'a> = smallvec![(from, *scope)];
        let mut only_types = Vec::new();
        for step in &test.path {
            let mut next = Reached::new();
            for (node, scope) in found {
                self.step(step, node, scope, &mut next, &mut only_types);
            }
            found = next;
        }
        match &test.wanted {
            Wanted::Exists(wanted) => *wanted != found.is_empty(),
            Wanted::Type(codes) => {
                let types = found.iter().map(|(node, _)| node.ty()).chain(only_types);
                let mut types = types.map(|ty| (ty, self.types.name(ty)));
                types.any(|(ty, name)| {
                    codes.iter().any(|code| code == name || self.types.is_a(ty, self.types.root(code)))
                })
            }
            Wanted::Profile(profiles) => found
                .iter()
                .any(|(node, scope)| profiles.iter().any(|profile| self.meets(profile, *node, parent, scope))),
            Wanted::Fixed(fixed) => {
                found.iter().any(|(node, _)| node.value().is_some_and(|it| value::is_fixed(fixed, it)))
            }
            Wanted::Pattern(pattern) => {
                found.iter().any(|(node, _)| node.value().is_some_and(|it| value::fits(pattern, it)))
            }
            Wanted::Code(bound) => found.iter().any(|(node, _)| {
                let definitions = &self.types.definitions;
                let set = bound.value_set(definitions);
                let special = Special::of(self.types.name(node.ty()));
                set.zip(node.value())
                    .is_some_and(|(set, value)| belongs(definitions, set, special, value) == Belongs::Yes)
            }),
        }
    }

    fn step(
        &self,
        step: &Step,
        node: Node<'a>,
        scope: Scope<'a>,
        next: &mut Reached<'a>,
        only_types: &mut Vec<crate::fhirpath::Type>,
    ) {
        match step {
            Step::Child(name) => {
                next.extend(items::children(self.types, node, name).into_iter().map(|item| (item.node, scope)));
            }
            Step::OfType(code) => {
                if self.types.name(node.ty()) == code {
                    next.push((node, scope));
                }
            }
            Step::Extension(url) => {
                let of_url = |item: &items::Item<'a>| {
                    item.node.value().and_then(|value| inner(value, "url")).is_some_and(|own| own == url.as_str())
                };
                let found = items::children(self.types, node, "extension");
                next.extend(found.into_iter().filter(of_url).map(|item| (item.node, scope)));
            }
            Step::Resolve => {
                let text = node.value().and_then(|value| inner(value, "reference").unwrap_or(value).as_str());
                let Some(text) = text else { return };
                if let Some(led) = self.follow(text, &scope).and_then(|led| self.led_scope(led, &scope)) {
                    next.push((led.resource, led));
                } else if let crate::fhir::Reference::Literal { kind, .. } = crate::fhir::Reference::parse(text) {
                    only_types.extend(self.types.resource(kind).map(|plan| plan.nodes[0].ty));
                }
            }
        }
    }
}
