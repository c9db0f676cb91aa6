//! The room `api`: see `src/ARCHITECTURE.md`.

pub mod fhir;
mod fhir_index;
mod fhir_store;
