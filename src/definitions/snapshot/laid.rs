//! What happened to each element of a differential when the snapshot was generated: what it was laid upon, and where.
//! The validator judges profiles by it. <https://hl7.org/fhir/R4/profiling.html#snapshot>

use serde_json::{Map, Value};

/// Something that has no place, or cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The differential's element, by index.
    pub at: Option<usize>,
    /// A sentence.
    pub text: String,
}

/// One step from the root: a child by its place in the base, or a slice of the same element. Children come before slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Down.
    Child(usize),
    /// Aside.
    Slice(usize),
}

/// One element of a differential.
#[derive(Clone, Debug, Default)]
pub struct Laid {
    /// The element as it was inherited, before the differential's was laid upon it; none if it has no place.
    pub inherited: Option<Map<String, Value>>,
    /// Its id in the snapshot.
    pub id: String,
    /// Where it stands; greater is later in the snapshot.
    pub route: Vec<Step>,
    /// It names a slice of a list that nobody says is sliced.
    pub is_unsliced: bool,
    /// It adds a slice to a list whose slicing the base closes.
    pub is_closed: bool,
}

/// A profile as its differential makes it.
#[derive(Clone, Debug, Default)]
pub struct Derived {
    /// The snapshot's elements.
    pub elements: Vec<Value>,
    /// What has no place or cannot be.
    pub problems: Vec<Problem>,
    /// For each element of the differential.
    pub laid: Vec<Laid>,
}
