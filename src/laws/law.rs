//! The laws themselves (DESIGN, "Mappings"): what each demands of an object and of resources that exist already. What one
//! law works out of a pair, the others use.

use std::cell::OnceCell;

use serde_json::{Value, json};

use super::frame::Frame;
use crate::{
    fhir::canonically_equal,
    mapping::{Context, MappingError, Part, Plan, differ},
};

/// A law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// Every resource can be read, and reading is stable.
    Total,
    /// What was written is read back the same, but for declared losses.
    PutGet,
    /// Writing back what was read changes nothing.
    GetPut,
    /// The last write wins.
    PutPut,
    /// Writing touches only what a rule names.
    Frame,
}

impl Law {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Total, Self::PutGet, Self::GetPut, Self::PutPut, Self::Frame];

    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::PutGet => "put_get",
            Self::GetPut => "get_put",
            Self::PutPut => "put_put",
            Self::Frame => "frame",
        }
    }
}

/// What a law is tried on.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) object: Value,
    pub(super) earlier: Value,
    pub(super) base: Vec<Part>,
    /// Which context it is tried in.
    pub(super) side: usize,
}

/// What the laws are about: reading, and writing into what is there. A plan; in tests, a plan with a fault.
pub(super) trait Lens {
    /// What resources say as they come from an EHR.
    fn to_internal(&self, resources: &[Value], context: &Context) -> Value;
    /// What parts say.
    fn said(&self, parts: &[Part], context: &Context) -> Value;
    /// Writes an object over parts that say `old`.
    fn put(&self, object: &Value, base: &[Part], old: &Value, context: &Context) -> Result<Vec<Part>, MappingError>;
}

impl Lens for Plan {
    fn to_internal(&self, resources: &[Value], context: &Context) -> Value {
        Self::to_internal(self, resources, context)
    }

    fn said(&self, parts: &[Part], context: &Context) -> Value {
        Self::said(self, parts, context)
    }

    fn put(&self, object: &Value, base: &[Part], old: &Value, context: &Context) -> Result<Vec<Part>, MappingError> {
        self.put_over(object, base, (!base.is_empty()).then_some(old), context)
    }
}

/// Where laws are tried: a plan in a context.
pub(super) struct Trial<'a> {
    pub(super) plan: &'a Plan,
    pub(super) lens: &'a dyn Lens,
    pub(super) context: Context,
    frames: Vec<Frame>,
}

/// Holds, cannot be tried on this pair, or the differences.
pub(super) enum Outcome {
    Holds,
    Unsayable,
    Broken(Vec<(String, Value, Value)>),
}

impl<'a> Trial<'a> {
    pub(super) fn new(plan: &'a Plan, lens: &'a dyn Lens, zone: Option<&str>) -> Self {
        let context = Context::new("example-clinic");
        let context = match zone {
            Some(zone) => context.in_zone(zone),
            None => context,
        };
        let paths = plan.rule_paths();
        let frames = (0..plan.part_count()).map(|part| Frame::new(&paths, part)).collect();
        Self { plan, lens, context, frames }
    }

    pub(super) fn try_law(&self, law: Law, pair: &Pair) -> Outcome {
        Worked::new(self, pair).holds(law)
    }

    fn frame(&self, base: &[Part], after: &[Part]) -> Outcome {
        for before in base {
            let id = |part: &Part| part.resource.get("id").cloned();
            // Of several Binaries each is compared with itself.
            let twin = after.iter().find(|part| part.role == before.role && id(part) == id(before));
            let Some(part) = twin else { continue };
            let index = self.plan.part_index(&before.role);
            let Some(frame) = index.and_then(|index| self.frames.get(index)) else { continue };
            if let Some(pointer) = frame.breach(&before.resource, &part.resource) {
                let at = |value: &Value| value.pointer(&pointer).cloned().unwrap_or_default();
                return Outcome::Broken(vec![(pointer.clone(), at(&before.resource), at(&part.resource))]);
            }
        }
        Outcome::Holds
    }
}

/// A pair with what was worked out of it so far.
pub(super) struct Worked<'a> {
    trial: &'a Trial<'a>,
    pair: &'a Pair,
    /// What the base says.
    said: OnceCell<Value>,
    /// The object written into the base; none if it cannot be said there.
    direct: OnceCell<Option<Vec<Part>>>,
    /// The earlier object written into the base, and the object over it.
    twice: OnceCell<Option<Vec<Part>>>,
    /// What the base says after the object was written into it.
    back: OnceCell<Value>,
}

impl<'a> Worked<'a> {
    pub(super) fn new(trial: &'a Trial<'a>, pair: &'a Pair) -> Self {
        let (said, direct, twice, back) = (OnceCell::new(), OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { trial, pair, said, direct, twice, back }
    }

    fn said(&self) -> &Value {
        self.said.get_or_init(|| self.trial.lens.said(&self.pair.base, &self.trial.context))
    }

    fn put(&self, object: &Value) -> Result<Vec<Part>, MappingError> {
        self.trial.lens.put(object, &self.pair.base, self.said(), &self.trial.context)
    }

    /// Whether every law can be tried on this pair, so that no law is tried on fewer pairs than the report says.
    pub(super) fn is_usable(&self) -> bool {
        self.direct().is_some() && self.twice().is_some()
    }

    fn direct(&self) -> Option<&Vec<Part>> {
        self.direct.get_or_init(|| self.put(&self.pair.object).ok()).as_ref()
    }

    fn twice(&self) -> Option<&Vec<Part>> {
        let (lens, context) = (self.trial.lens, &self.trial.context);
        let again = |once: Vec<Part>| lens.put(&self.pair.object, &once, &lens.said(&once, context), context);
        self.twice.get_or_init(|| self.put(&self.pair.earlier).and_then(again).ok()).as_ref()
    }

    fn back(&self, direct: &[Part]) -> &Value {
        self.back.get_or_init(|| self.trial.lens.said(direct, &self.trial.context))
    }

    pub(super) fn holds(&self, law: Law) -> Outcome {
        let (plan, lens, context, pair) = (self.trial.plan, self.trial.lens, &self.trial.context, self.pair);
        match law {
            Law::Total => {
                // Read as it comes from an EHR, without roles; twice, since reading must be stable.
                let resources: Vec<Value> = pair.base.iter().map(|part| part.resource.clone()).collect();
                let first = lens.to_internal(&resources, context);
                if first.is_object() {
                    equal(&first, self.said())
                } else {
                    Outcome::Broken(vec![(String::new(), json!({}), first)])
                }
            }
            Law::GetPut => match self.put(self.said()) {
                // A dialect that takes no changes must not mind one that changes nothing.
                Ok(after) => match plan.permits(Some(self.said()), self.said(), context).first() {
                    Some(minds) => {
                        Outcome::Broken(vec![(minds.pointer.clone(), Value::Null, minds.detail.clone().into())])
                    }
                    None => unchanged(&pair.base, &after),
                },
                Err(error) => Outcome::Broken(vec![(String::new(), Value::Null, error.to_string().into())]),
            },
            Law::PutGet => self.direct().map_or(Outcome::Unsayable, |after| {
                let wanted = plan.without_losses(&plan.normalise(&pair.object, context));
                equal(&wanted, &plan.without_losses(self.back(after)))
            }),
            Law::PutPut => {
                let (Some(direct), Some(twice)) = (self.direct(), self.twice()) else { return Outcome::Unsayable };
                equal(self.back(direct), &lens.said(twice, context))
            }
            Law::Frame => self.direct().map_or(Outcome::Unsayable, |after| self.trial.frame(&pair.base, after)),
        }
    }
}

fn unchanged(before: &[Part], after: &[Part]) -> Outcome {
    let same = before.len() == after.len()
        && before.iter().zip(after).all(|(before, after)| canonically_equal(&before.resource, &after.resource));
    if same {
        return Outcome::Holds;
    }
    let all = |parts: &[Part]| -> Value { parts.iter().map(|part| part.resource.clone()).collect() };
    equal(&all(before), &all(after))
}

fn equal(wanted: &Value, got: &Value) -> Outcome {
    if canonically_equal(wanted, got) {
        return Outcome::Holds;
    }
    let mut differences = Vec::new();
    differ("", wanted, got, &mut differences);
    Outcome::Broken(differences)
}
