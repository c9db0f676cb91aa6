//! The room `deliver`: see `src/ARCHITECTURE.md`.
