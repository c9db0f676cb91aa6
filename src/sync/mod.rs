//! Keeping both sides alike: push, settle (unknown outcomes), pull, merge, identity, retry. The ledger is the only
//! truth; what is here decides which fact is appended next. Knows neither axum nor who may ask.

mod backup;
mod check;
mod documents;
mod engine;
mod error;
mod identity;
mod inbound;
mod index;
mod merge;
mod outcome;
mod prepare;
mod pull;
mod push;
mod puzzled;
mod record;
mod recorded;
mod request;
mod reread;
mod restore;
mod retry;
mod settle;
mod setup;
mod worker;
mod worklist;

pub use crate::ehr::{AuthConfig, Period, PullConfig, SweepConfig, SystemConfig};
pub use documents::content;
pub use engine::Engine;
pub use error::Error;
pub use recorded::{History, Spoken};
pub use request::{Accept, Action, Change, Choice, GroupRetry, Key, Preview, PreviewTarget, Update};
pub use setup::{Connect, Setup};
