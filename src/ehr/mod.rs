//! One external EHR: HTTP behind a `Transport` trait, credentials, what it says it can do, and the reading of its
//! answers (<https://hl7.org/fhir/R4/http.html>). Knows neither internal objects nor the ledger; refuses to carry
//! credentials to another origin.

mod answer;
mod auth;
mod body;
mod capability;
mod client;
mod config;
mod failure;
mod http;
mod jwt;
mod outcome;
mod page;
mod search;
mod skim;
#[cfg(test)]
mod tests;
mod transport;

pub use answer::{Intent, Seen, version_id};
pub use body::{Body, Content, Stream};
pub use capability::{Capability, Offer};
pub use client::{Client, carries, escaped};
pub use config::{AuthConfig, BinaryForm, Period, PullConfig, SweepConfig, SystemConfig};
pub use failure::{Failure, Kind};
pub use http::Http;
pub use search::{Page, Search};
pub use skim::{Keep, Keeping, Kept};
pub use transport::{Request, Response, Sending, Transport, TransportError};
