//! One external EHR: HTTP behind a `Transport` trait, credentials, what it says it can do, and the reading of its
//! answers (<https://hl7.org/fhir/R4/http.html>). Knows neither internal objects nor the ledger; refuses to carry
//! credentials to another origin.

mod answer;
mod asked;
mod auth;
mod body;
mod capability;
mod client;
mod config;
mod etag;
mod failure;
mod http;
mod incoming;
mod inflate;
mod jwt;
mod outcome;
mod page;
mod search;
mod secrets;
mod skim;
#[cfg(test)]
mod tests;
mod transport;

pub use answer::{Intent, Seen, last_updated, version_id};
pub use body::{Body, Content, Stream};
pub use capability::{Capability, Offer, Statement};
pub use client::{Client, carries, escaped};
pub use config::{AuthConfig, BinaryForm, Period, PullConfig, SweepConfig, SystemConfig};
pub use etag::{same_version, version_number};
pub use failure::{Failure, Kind};
pub use http::Http;
pub use search::{Page, Search};
pub use secrets::check_secrets;
pub use skim::{Keep, Keeping, Kept};
pub use transport::{Request, Response, Sending, Transport, TransportError};
