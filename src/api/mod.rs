//! The room `api`: see `src/ARCHITECTURE.md`.
