//! Mappings: from an internal object to FHIR and back, from one YAML file that runs both ways. This room reads and
//! checks the files (`load/`), compiles them into plans (`plan/`), runs them (`run/`) and tells what they do
//! (`coverage`, `explain`, `export`). The language is written up in `mappings/README.md`.
//! Refuses: an object's or vendor's name in code, I/O other than reading the folder of mappings, time and chance.

mod context;
mod error;
mod set;
mod transform;

pub use context::{Context, MAIN, Part};
pub use error::{MappingError, Mistake};
pub use set::{Mappings, ObjectType, Owner, Plan, Reread, Transitions};
