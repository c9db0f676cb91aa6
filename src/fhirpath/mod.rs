//! The room `fhirpath`: see `src/ARCHITECTURE.md`.
