//! Internal objects by chance: from the object's JSON Schema, and from its worked examples with fields changed. Only
//! objects that the schema allows are used.

use fastrand::Rng;
use serde_json::Value;

use super::shapes::Shapes;
use crate::mapping::{ObjectType, Plan};

/// Makes objects of one kind.
pub(super) struct Objects<'a> {
    object: &'a ObjectType,
    plan: &'a Plan,
    shapes: Shapes,
    examples: Vec<&'a Value>,
}

impl<'a> Objects<'a> {
    pub(super) fn new(object: &'a ObjectType, plan: &'a Plan) -> Self {
        let examples = object.examples().iter().map(|example| &example.internal).collect();
        Self { object, plan, shapes: Shapes::of(object.schema()), examples }
    }

    /// A valid object that keeps to the dialect's limits; none where chance failed often (schema or limits are then too
    /// narrow for the generator).
    pub(super) fn make(&self, rng: &mut Rng) -> Option<Value> {
        (0..10).find_map(|_| self.any(rng).filter(|made| self.plan.refused(made, None).is_empty()))
    }

    /// A valid object, as somebody else may have made it at the EHR.
    pub(super) fn any(&self, rng: &mut Rng) -> Option<Value> {
        for _ in 0..40 {
            let mut made =
                if self.examples.is_empty() || rng.u8(..3) == 0 { self.shapes.make(rng) } else { self.changed(rng) };
            if let Some(members) = made.as_object_mut() {
                members.shift_remove("version");
            }
            self.plan.point_references(&mut made, &mut |count| rng.usize(..count.max(1)));
            self.object.put_in_order(&mut made);
            if self.object.is_valid(&made) {
                return Some(made);
            }
        }
        None
    }

    /// A worked example with some fields left out, taken from another one, or made anew.
    fn changed(&self, rng: &mut Rng) -> Value {
        let mut made = self.examples[rng.usize(..self.examples.len())].clone();
        let Some(members) = made.as_object_mut() else { return made };
        for _ in 0..rng.usize(..6) {
            let Some((name, shape)) = self.shapes.pick(rng) else { break };
            match rng.u8(..4) {
                0 => {
                    members.shift_remove(name);
                }
                1 => {
                    let other = self.examples[rng.usize(..self.examples.len())];
                    if let Some(value) = other.get(name) {
                        members.insert(name.to_owned(), value.clone());
                    }
                }
                _ => {
                    members.insert(name.to_owned(), self.shapes.field(shape, rng));
                }
            }
        }
        made
    }
}

/// Objects of one kind by chance, for other laws than a mapping's: each valid by its schema, the same for the same seed.
#[must_use]
pub fn samples(object: &ObjectType, plan: &Plan, count: usize, seed: u64) -> Vec<Value> {
    let (objects, mut rng) = (Objects::new(object, plan), Rng::with_seed(seed));
    (0..count).filter_map(|_| objects.any(&mut rng)).collect()
}
