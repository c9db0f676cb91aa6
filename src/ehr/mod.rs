//! One external EHR: HTTP behind a `Transport` trait, credentials, what it says it can do, and the reading of its
//! answers (<https://hl7.org/fhir/R4/http.html>). Knows neither internal objects nor the ledger; refuses to carry
//! credentials to another origin.

mod config;

pub use config::{AuthConfig, Period, PullConfig, SweepConfig, SystemConfig};
