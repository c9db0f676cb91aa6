//! Keeping both sides alike: push, settle (unknown outcomes), pull, merge, identity, retry. The ledger is the only
//! truth; what is here decides which fact is appended next. Knows neither axum nor who may ask.
//!
//! `Engine` (follows in this room; `Clone`, `Send + Sync`):
//! `accept(Accept) -> Result<Accepted, Error>`, `update(Update) -> Result<Accepted, Error>` (replace, merge patch,
//! cancel), `preview(&ObjectName, Value) -> Result<Preview, Error>`, `act(item, Action, by) -> Result<(), Error>`,
//! `preview_group(group)`, `retry_group(group, by) -> Result<GroupRetry, Error>`, `run(shutdown)`: all async but previews.

mod error;
mod request;

pub use crate::ehr::{AuthConfig, Period, PullConfig, SweepConfig, SystemConfig};
pub use error::Error;
pub use request::{Accept, Accepted, Action, Change, Choice, GroupRetry, Key, Preview, PreviewTarget, Update};
