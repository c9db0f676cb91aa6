//! Mappings: from an internal object to FHIR and back, from one YAML file that runs both ways. This room reads and
//! checks the files (`load/`), compiles them into plans (`plan/`), runs them (`run/`) and tells what they do
//! (`coverage`, `explain`, `export`). The language is written up in `mappings/README.md`.
//! Refuses: an object's or vendor's name in code, I/O other than reading the folder of mappings, time and chance.

mod between;
mod check;
mod context;
mod coverage;
mod engine;
mod error;
mod examples;
mod explain;
mod export;
mod fit;
mod live;
mod load;
mod loss;
pub mod merge;
mod paths;
mod permit;
mod plan;
mod reads;
mod remark;
mod run;
mod set;
mod shadow;
mod standing;
mod support;
mod transform;

pub use context::{Context, MAIN, Part, identifier_system, object_of};
pub use coverage::{Coverage, Covered, State};
pub use engine::Plan;
pub use error::{MappingError, Mistake};
pub(crate) use examples::differ;
pub use examples::{Example, ExampleFault, Refusal, resources};
pub use explain::Origin;
pub use export::Export;
pub use live::Live;
pub use load::{Answers, Files, Meaning};
pub use loss::Loss;
pub use paths::RulePath;
pub use permit::Writes;
pub use remark::remarks;
pub use set::{Mappings, ObjectType, Owner, Reread, Transitions};
pub use shadow::{Difference, Recorded, Shadow, Trial, What};
pub use standing::Standing;
pub use support::{Profiled, Supported};

/// A constant of a mapping: where its rule stands, and what it writes.
#[derive(Clone, Debug)]
pub(crate) struct Constant {
    pub(crate) at: load::yaml::Place,
    pub(crate) target: plan::Name,
}
