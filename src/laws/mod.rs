//! Proofs of the mappings' laws (DESIGN, "Mappings") on generated pairs: Total, PutGet, GetPut, PutPut, Frame. A
//! counterexample is shrunk to its smallest form. Pure: chance comes from a seed; caching is by the caller's folder.
//! Refuses: patients' data; everything here is made up.

mod cache;
mod frame;
mod law;
mod objects;
mod prove;
mod resources;
mod shapes;
mod shrink;
mod spread;
#[cfg(test)]
mod tests;
mod words;

pub use cache::{FILE, Proofs, pairs, proven};
pub use law::Law;
pub use objects::samples;
pub use prove::{Counterexample, Report, Verdict, prove};
pub use spread::{Task, prove_all};

/// How much is tried for a base mapping.
pub const PAIRS: usize = 10_000;
/// How much is tried for an overlay.
pub const OVERLAY_PAIRS: usize = 1_000;
