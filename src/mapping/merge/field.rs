//! What the merge has to know of a field, worked out of the mapping's rules once: who owns it, what of it matters when two
//! values are compared, whether it is taken whole or member by member, and how the items of a list are told apart.

use std::collections::BTreeMap;

use crate::mapping::{
    Owner,
    plan::{Answered, Direction, Forms, Kind, Leaf, Name, PartPlan, Rule, Scope},
    transform::Transform,
};

/// A field's rule for the merge, with those of its members. A list and its items share one.
#[derive(Clone, Debug, Default)]
pub struct FieldRule {
    pub(crate) owner: Owner,
    pub(crate) answers: Answered,
    pub(crate) forms: Forms,
    pub(crate) same: Sameness,
    pub(crate) unit: Unit,
    /// The list is one value: its order means something.
    pub(crate) ordered: bool,
    /// Members that tell the list's items apart; none: items are equal or different.
    pub(crate) key: Vec<Name>,
    /// Fields of one object with the same name here exclude each other: forms of one choice of FHIR's.
    pub(crate) choice: Option<Name>,
    pub(crate) members: BTreeMap<Name, FieldRule>,
    /// Members without a rule are merged, too.
    pub(crate) open: bool,
}

/// What must agree for two values to be the same, beside being equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sameness {
    /// Texts in their forms, numbers by value.
    #[default]
    Plain,
    /// The moment, in whatever zone it is written.
    Moment,
    /// The time of day.
    Clock,
    /// A label that does not matter where all of these say what it stands for: a code's display.
    Labelled { label: Name, by: Vec<Name> },
    /// What is referred to; its display is a label.
    Reference,
    /// The bytes, wherever they are kept.
    File,
}

/// How far a value can be taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Its members are fields of their own.
    #[default]
    Walked,
    /// One value, which may be changed in part.
    Whole,
    /// One value; another one is another thing, like a code or a reference.
    Apart,
    /// The same, and something added to it makes it another one: a number with its unit.
    Strict,
}

impl FieldRule {
    /// The object's own: its members are the fields that the parts' rules read.
    pub(crate) fn of(parts: &[PartPlan], owner: Owner) -> Self {
        let mut root = Self { owner, ..Self::default() };
        parts.iter().for_each(|part| root.add(&part.scope));
        // Whose the object is, is no matter of a merge.
        root.members.remove("id");
        root
    }

    /// Who decides.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// Whether a list is one value since its order means something.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        self.ordered
    }

    /// The members that tell a list's items apart.
    #[must_use]
    pub fn key(&self) -> Vec<&str> {
        self.key.iter().map(|name| &**name).collect()
    }

    /// The fields of an object, or of a list's items, by name.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.members.iter().map(|(name, rule)| (&**name, rule))
    }

    /// Whether its members are fields of their own.
    #[must_use]
    pub fn is_walked(&self) -> bool {
        self.unit == Unit::Walked && !self.members.is_empty()
    }

    /// The same for two of our own objects, where fields without a rule count, too (`Prefer: merge`).
    #[must_use]
    pub fn open(&self) -> Self {
        let members = self.members.iter().map(|(name, rule)| (name.clone(), rule.open())).collect();
        Self { open: true, members, ..self.clone() }
    }

    /// The rule at a JSON pointer; of what has none, the nearest around it. Steps that name list items are passed over.
    #[must_use]
    pub fn at(&self, pointer: &str) -> &Self {
        let mut rule = self;
        for step in pointer.split('/').skip(1).filter(|step| !step.starts_with('#') && step.parse::<usize>().is_err()) {
            match rule.members.get(step) {
                Some(inner) => rule = inner,
                None => break,
            }
        }
        rule
    }

    /// The rule of a dotted field.
    pub(crate) fn find_mut(&mut self, field: &str) -> Option<&mut Self> {
        field.split('.').try_fold(self, |rule, step| rule.members.get_mut(step))
    }

    fn add(&mut self, scope: &Scope) {
        for rule in &scope.rules {
            let one_way = rule.direction == Direction::ToFhir || matches!(rule.kind, Kind::Compute(_) | Kind::Fixed(_));
            if one_way {
                continue;
            }
            if rule.internal.is_empty() {
                // The list's items themselves.
                self.shape(rule);
                continue;
            }
            let owner = self.owner;
            let mut at = &mut *self;
            for name in &rule.internal {
                at = at.members.entry(name.clone()).or_insert_with(|| Self { owner, ..Self::default() });
            }
            at.owner = rule.owner.unwrap_or(owner);
            if rule.direction == Direction::ToInternal {
                // What is only read cannot be decided here.
                at.owner = Owner::Ehr;
            }
            at.forms = rule.merging.forms;
            at.answers.clone_from(&rule.merging.answers);
            // One value that is a list inside, and nobody knows of what, is not taken apart either.
            at.ordered = rule.merging.ordered || matches!(rule.kind, Kind::Leaf(_));
            at.key.clone_from(&rule.merging.key);
            at.choice = choice(rule);
            at.shape(rule);
        }
    }

    /// What a value is, by the rule's kind and FHIR's type.
    fn shape(&mut self, rule: &Rule) {
        match &rule.kind {
            Kind::Leaf(transform) | Kind::Values(transform) => {
                (self.same, self.unit) = match transform {
                    Transform::Time { .. } => (Sameness::Moment, Unit::Whole),
                    Transform::Reference { .. } => (Sameness::Reference, Unit::Apart),
                    Transform::File => (Sameness::File, Unit::Whole),
                    Transform::Copy if &*rule.target.type_name == "time" => (Sameness::Clock, Unit::Whole),
                    _ => (Sameness::Plain, Unit::Whole),
                };
            }
            Kind::Group(scope) | Kind::Each { scope, .. } | Kind::Contained { scope, .. } => {
                let label = |label: &str| labelled(scope, label);
                (self.same, self.unit) = match &*rule.target.type_name {
                    "Coding" => (label("display"), Unit::Apart),
                    "Identifier" => (Sameness::Plain, Unit::Apart),
                    "Quantity" | "Age" | "Count" | "Distance" | "Duration" | "SimpleQuantity" => {
                        (label("unit"), Unit::Strict)
                    }
                    "Money" | "Range" | "Ratio" => (Sameness::Plain, Unit::Strict),
                    // Half of one and half of another is nobody's address, and no diagnosis.
                    "CodeableConcept" | "Address" => (Sameness::Plain, Unit::Whole),
                    _ => (Sameness::Plain, Unit::Walked),
                };
                self.add(scope);
            }
            Kind::Compute(_) | Kind::Fixed(_) => {}
        }
    }
}

/// A label that a code stands for, where the rules read both.
fn labelled(scope: &Scope, label: &str) -> Sameness {
    let named = |element: &str| {
        let rule = scope
            .rules
            .iter()
            .find(|rule| matches!(&rule.target.leaf, Leaf::Member { name, .. } if **name == *element));
        rule.and_then(|rule| rule.internal.first()).cloned()
    };
    match (named(label), named("system"), named("code")) {
        (Some(label), Some(system), Some(code)) => Sameness::Labelled { label, by: vec![system, code] },
        _ => Sameness::Plain,
    }
}

/// The choice that a rule's element is a form of, by its place and its first form.
fn choice(rule: &Rule) -> Option<Name> {
    let Leaf::Member { name, siblings, .. } = &rule.target.leaf else { return None };
    let first = siblings.iter().filter(|sibling| !sibling.starts_with('_')).min()?.min(name);
    let place = rule.target.text.strip_suffix(&**name).unwrap_or_default();
    Some(format!("{}:{place}{first}", rule.target.part).into())
}
