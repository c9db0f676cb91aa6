//! Liaison, a FHIR R4 interoperability gateway. The rooms, what each owns and which may call which:
//! `src/ARCHITECTURE.md`. Imports run one way; `tests/tidy.rs` fails on a breach.

pub mod access;
pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
pub mod console;
pub mod definitions;
pub mod deliver;
pub mod domain;
pub mod ehr;
pub mod embedded;
pub mod error;
pub mod fhir;
pub mod fhirpath;
pub mod laws;
pub mod ledger;
pub mod mapping;
pub mod profile;
pub mod rest;
pub mod sandbox;
pub mod sync;
