//! What every internal object has in common: names and ids, references, times with zones, and `Phi<T>`.
//! No struct per object: objects are data under `mappings/`. Knows neither FHIR nor HTTP.

mod id;
mod phi;
pub mod time;

pub use id::{BadId, ObjectId, ObjectName, SystemName};
pub use phi::Phi;
pub use time::{Time, TimeError};
