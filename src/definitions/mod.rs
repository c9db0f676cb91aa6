//! What FHIR R4 and the installed packages define: structures (typed snapshots), value sets, code systems, search
//! parameters and raw resources, found by canonical (`url` or `url|version`). Owns the core pack, packages, snapshot
//! generation and terminology as far as it can be decided offline. Refuses network (traits that `app` supplies fetch)
//! and guesses: what cannot be decided is said to be unknown, with the reason.
//! <https://hl7.org/fhir/R4/conformance-module.html>

mod ancestry;
mod compile;
mod core_pack;
pub mod errata;
mod error;
mod guides;
mod install;
mod invariants;
mod load;
pub mod pack;
mod package;
mod registry;
mod search;
pub mod slim;
mod snapshot;
mod sources;
mod store;
mod structure;
pub mod terminology;
pub mod unpack;
mod versions;

pub use core_pack::{CorePack, core_pack};
pub use error::Error;
pub use install::{Checked, Installed, Locked};
pub use load::{PACKAGES, load};
pub use pack::Pack;
pub use package::{Package, Warnings};
pub use registry::{Fetch, Registry};
pub use search::SearchParameter;
pub use snapshot::{Derived, Laid, Problem, Step};
pub use store::{Definitions, Found};
pub use structure::{
    Additional, Binding, Constraint, ContextKind, Derivation, Discriminator, DiscriminatorKind, Element,
    ExtensionContext, Kind, Limits, Rules, Slicing, Strength, Structure, TypeRef, TypedValue, Usage,
};
pub use terminology::{CodeSystem, Concept, Member, Membership, TerminologyServer, ValueSet, Why};
