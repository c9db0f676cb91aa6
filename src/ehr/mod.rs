//! The room `ehr`: see `src/ARCHITECTURE.md`.
