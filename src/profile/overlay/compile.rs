//! From a snapshot to demands: each element is compared with the base type's and only the difference is kept.

use std::sync::Arc;

use super::{Demand, ProfilePlan, Slice, Slicing, discriminator};
use crate::{
    definitions::{Constraint, Derivation, Element, Limits, Rules, Structure, TypeRef},
    profile::{binding::Bound, invariant::Invariant, types::Types},
};

/// An element in some structure.
#[derive(Clone, Debug)]
pub struct Cursor {
    /// The structure.
    pub structure: Arc<Structure>,
    /// Index of the element.
    pub at: usize,
}

impl Cursor {
    /// The element.
    pub fn element(&self) -> &Element {
        &self.structure.elements[self.at]
    }

    /// The root of a structure.
    pub fn root(structure: Arc<Structure>) -> Option<Self> {
        (!structure.elements.is_empty()).then_some(Self { structure, at: 0 })
    }

    fn own_child(&self, name: &str) -> Option<Self> {
        let found = self.structure.children(self.at).iter().find(|at| {
            let child = &self.structure.elements[**at];
            child.name() == name || child.choice() == Some(name)
        });
        found.map(|at| Self { structure: Arc::clone(&self.structure), at: *at })
    }

    /// The definition of the child `name`: in the structure itself, or in the type's (`hint` names it for choices).
    pub fn child(&self, types: &Types, name: &str, hint: Option<&str>) -> Option<Self> {
        if let Some(found) = self.own_child(name) {
            return Some(found);
        }
        let element = self.element();
        if let Some(reference) = &element.content_reference {
            let target = reference.rsplit('#').next().unwrap_or(reference);
            let at = self.structure.index_of(target)?;
            return Self { structure: Arc::clone(&self.structure), at }.own_child(name);
        }
        let only = match element.types.as_slice() {
            [only] => Some(only),
            _ => None,
        };
        let profile = only.and_then(|only| only.profiles.first()).and_then(|url| types.definitions.structure(url));
        let code = hint.or_else(|| only.map(|only| only.code.as_str()));
        let structure = profile.or_else(|| types.definitions.base_type(code?))?;
        Self::root(structure)?.own_child(name)
    }
}

struct Maker<'m> {
    types: &'m Types,
    structure: Arc<Structure>,
    problems: Vec<String>,
}

/// Compiles a profile.
pub fn profile(types: &Types, structure: Arc<Structure>) -> ProfilePlan {
    let mut maker = Maker { types, structure: Arc::clone(&structure), problems: structure.problems.clone() };
    let base = types.definitions.base_type(&structure.type_name).and_then(Cursor::root);
    let root = if structure.elements.is_empty() {
        maker.problems.push("it has no elements".to_owned());
        Demand::default()
    } else {
        maker.demand(0, base.as_ref())
    };
    let imposed = imposed(types, &structure);
    let circle = types.definitions.circle(&structure).map(|chain| chain.join(" -> "));
    ProfilePlan { structure, root, imposed, problems: maker.problems, circle }
}

/// What the profile and those that it derives from impose.
fn imposed(types: &Types, structure: &Arc<Structure>) -> Vec<String> {
    let mut found: Vec<String> = structure.imposed.iter().map(|url| types.definitions.meant(url, structure)).collect();
    let mut now = Arc::clone(structure);
    for _ in 0..16 {
        let base = now.base.as_deref().filter(|_| now.derivation == Derivation::Constraint);
        let Some(base) = base.and_then(|base| types.definitions.structure_from(base, &now)) else { break };
        found.extend(base.imposed.iter().map(|url| types.definitions.meant(url, &base)));
        now = base;
    }
    found
}

impl Maker<'_> {
    fn demand(&mut self, at: usize, base: Option<&Cursor>) -> Demand {
        let structure = Arc::clone(&self.structure);
        let element = &structure.elements[at];
        let plain = base.map(Cursor::element);
        let mut demand = Demand {
            name: element.choice().unwrap_or_else(|| element.name()).into(),
            id: element.id.as_str().into(),
            fixed: element.fixed.as_ref().map(|fixed| fixed.value.clone()),
            pattern: element.pattern.as_ref().map(|pattern| pattern.value.clone()),
            min_value: element.min_value.clone(),
            max_value: element.max_value.clone(),
            max_length: element.max_length.filter(|length| plain.and_then(|plain| plain.max_length) != Some(*length)),
            limits: (element.limits != Limits::default()).then(|| element.limits.clone()),
            must_support: element.must_support,
            ..Demand::default()
        };
        if at > 0 {
            demand.min = if element.min > plain.map_or(0, |plain| plain.min) { element.min } else { 0 };
            demand.max = element.max.filter(|max| plain.and_then(|plain| plain.max).is_none_or(|base| *max < base));
            types_of(&mut demand, element, plain);
            let meant = |url: &mut String| *url = self.types.definitions.meant(url, &structure);
            demand.profiles.iter_mut().flat_map(|of| &mut of.1).for_each(meant);
            let meant = |url: &mut String| *url = self.types.definitions.meant(url, &structure);
            demand.targets.iter_mut().flat_map(|of| &mut of.1).for_each(meant);
        }
        let same_binding = plain.is_some_and(|plain| plain.binding == element.binding);
        if !same_binding {
            let bound = element.binding.as_ref().and_then(|binding| Bound::new(binding, Some(&self.structure)));
            let open_choice = element.choice().is_some() && element.types.len() > 1;
            demand.binding = if open_choice { bound.map(Bound::lenient) } else { bound };
        }
        demand.invariants = self.invariants(element, plain);
        demand.children = self.children(at, base);
        demand.slicing = self.slicing(at, base);
        demand
    }

    /// Invariants that neither the base element nor its type states.
    fn invariants(&mut self, element: &Element, plain: Option<&Element>) -> Vec<Invariant> {
        let roots: Vec<Arc<Structure>> =
            element.types.iter().filter_map(|ty| self.types.definitions.base_type(&ty.code)).collect();
        let known = |constraint: &Arc<Constraint>| {
            let same =
                |other: &Arc<Constraint>| other.key == constraint.key && other.expression == constraint.expression;
            plain.is_some_and(|plain| plain.constraints.iter().any(same))
                || roots.iter().any(|root| root.elements.first().is_some_and(|root| root.constraints.iter().any(same)))
        };
        let mut made = Vec::new();
        for constraint in element.constraints.iter().filter(|constraint| !known(constraint)) {
            match Invariant::compile(constraint, &|_| false) {
                Ok(invariant) => made.extend(invariant),
                Err(problem) => self.problems.push(problem),
            }
        }
        made
    }

    fn children(&mut self, at: usize, base: Option<&Cursor>) -> Vec<Demand> {
        let structure = Arc::clone(&self.structure);
        let hint = match structure.elements[at].types.as_slice() {
            [only] => Some(only.code.as_str()),
            _ => None,
        };
        let mut made = Vec::new();
        for child in structure.children(at) {
            let element = &structure.elements[*child];
            let name = element.choice().unwrap_or_else(|| element.name());
            let plain = base.and_then(|base| base.child(self.types, name, hint));
            let demand = self.demand(*child, plain.as_ref());
            if demand.is_any() {
                made.push(demand);
            }
        }
        made
    }

    fn slicing(&mut self, at: usize, base: Option<&Cursor>) -> Option<Slicing> {
        let structure = Arc::clone(&self.structure);
        let element = &structure.elements[at];
        let slices = structure.slices(at);
        if slices.is_empty() {
            return None;
        }
        let slicing = element.slicing.clone().or_else(|| outer_slicing(&structure, at));
        let rules = slicing.as_ref().map_or(Rules::Open, |slicing| slicing.rules);
        let ordered = slicing.as_ref().is_some_and(|slicing| slicing.ordered);
        let discriminators = discriminator::of(element, slicing.as_ref());
        let mut made = Vec::new();
        for slice in slices {
            let cursor = Cursor { structure: Arc::clone(&structure), at: *slice };
            let own = &structure.elements[*slice];
            let name = own.slice_name.clone().unwrap_or_default();
            let tests = match discriminator::tests(self.types, &cursor, &discriminators) {
                Ok(tests) => Some(tests),
                Err(problem) => {
                    self.problems.push(format!("the slice {} cannot be told from others: {problem}", own.id));
                    None
                }
            };
            let mut demand = self.demand(*slice, base);
            // Of a slice the counts stand for themselves, whatever the base says of the whole list.
            demand.min = own.min;
            demand.max = own.max;
            made.push(Slice { name: name.into(), tests, demand });
        }
        Some(Slicing { rules, ordered, slices: made })
    }
}

/// A re-slice whose slicing says nothing takes that of the list.
fn outer_slicing(structure: &Structure, at: usize) -> Option<crate::definitions::Slicing> {
    let path = &structure.elements[at].path;
    structure.elements[..at]
        .iter()
        .rev()
        .filter(|element| element.path == *path)
        .find_map(|element| element.slicing.clone())
}

fn types_of(demand: &mut Demand, element: &Element, plain: Option<&Element>) {
    let base: &[TypeRef] = plain.map_or(&[], |plain| &plain.types);
    let narrower = base.iter().any(|base| !element.types.iter().any(|own| own.code == base.code));
    let special = base.iter().any(|base| matches!(base.code.as_str(), "Resource" | "DomainResource" | "Element" | "*"));
    if !element.types.is_empty() && (narrower || special) {
        let codes: Vec<Box<str>> = element.types.iter().map(|ty| ty.code.as_str().into()).collect();
        let abstracted = codes.iter().all(|code| matches!(&**code, "Resource" | "Element" | "BackboneElement"));
        demand.types = (!abstracted).then_some(codes);
    }
    let references: Vec<&TypeRef> = element.types.iter().filter(|own| own.code == "Reference").collect();
    if references.iter().all(|own| !own.aggregation.is_empty()) {
        demand.aggregation = references.iter().flat_map(|own| own.aggregation.iter().cloned()).collect();
    }
    if let [only] = references.as_slice() {
        demand.versioning = only.versioning.clone().filter(|versioning| versioning != "either");
    }
    for (at, own) in element.types.iter().enumerate() {
        // What is said of a type in several places is said together: one of all the profiles, any target
        if element.types[..at].iter().any(|before| before.code == own.code) {
            continue;
        }
        let same = base.iter().find(|base| base.code == own.code);
        let profiles = together(&element.types, &own.code, |of| &of.profiles);
        if !profiles.is_empty() && same.is_none_or(|base| base.profiles != profiles) {
            demand.profiles.push((own.code.as_str().into(), profiles));
        }
        let targets = together(&element.types, &own.code, |of| &of.target_profiles);
        if !targets.is_empty() && same.is_none_or(|base| base.target_profiles != targets) {
            demand.targets.push((own.code.as_str().into(), targets));
        }
    }
}

/// What all the types with this code name together; nothing if one of them names nothing, for that one allows all.
fn together<'t>(types: &'t [TypeRef], code: &str, part: impl Fn(&'t TypeRef) -> &'t Vec<String>) -> Vec<String> {
    let lists: Vec<&Vec<String>> = types.iter().filter(|of| of.code == code).map(part).collect();
    if lists.iter().any(|list| list.is_empty()) {
        return Vec::new();
    }
    lists.into_iter().flatten().cloned().collect()
}

impl Demand {
    /// Whether there is anything to check.
    fn is_any(&self) -> bool {
        self.min > 0
            || self.max.is_some()
            || self.types.is_some()
            || !self.profiles.is_empty()
            || !self.targets.is_empty()
            || !self.aggregation.is_empty()
            || self.versioning.is_some()
            || self.fixed.is_some()
            || self.pattern.is_some()
            || self.min_value.is_some()
            || self.max_value.is_some()
            || self.max_length.is_some()
            || self.limits.is_some()
            || self.binding.is_some()
            || !self.invariants.is_empty()
            || self.must_support
            || !self.children.is_empty()
            || self.slicing.is_some()
    }
}
