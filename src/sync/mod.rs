//! Keeping both sides alike: push, settle (unknown outcomes), pull, merge, identity, retry. The ledger is the only
//! truth; what is here decides which fact is appended next. Knows neither axum nor who may ask.

mod base;
mod change;
mod check;
mod decide;
mod desk;
mod documents;
mod engine;
mod error;
mod evidence;
mod health;
mod identity;
mod inbound;
mod index;
mod merge;
mod missed;
mod notes;
mod prepare;
mod pull;
mod puller;
mod puzzled;
mod record;
mod recorded;
mod recorder;
mod request;
mod reread;
mod resend;
mod retry;
mod scene;
mod sender;
mod settle;
mod settler;
mod setup;
mod status;
mod step;
mod translator;
mod worker;

pub use crate::ehr::{AuthConfig, Period, PullConfig, SweepConfig, SystemConfig};
pub use documents::content;
pub use engine::Engine;
pub use error::Error;
pub use recorded::{History, Spoken};
pub use request::{Accept, Action, Change, Choice, GroupRetry, Key, Preview, PreviewTarget, Resend, Update};
pub use setup::{Connect, Setup};
pub use status::{Condition, FetchStatus, SystemStatus};
