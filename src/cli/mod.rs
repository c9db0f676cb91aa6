//! The room `cli`: see `src/ARCHITECTURE.md`.
