//! What every internal object has in common: names and ids, references, times with zones, what to say of a mistyped
//! name, and `Phi<T>`.
//! No struct per object: objects are data under `mappings/`. Knows neither FHIR nor HTTP.

mod article;
mod id;
mod near;
mod phi;
pub mod time;

pub use article::{a, capital_a};
pub use id::{BadId, ObjectId, ObjectName, SystemName};
pub use near::{did_you_mean, nearest};
pub use phi::Phi;
pub use time::{Time, TimeError};
