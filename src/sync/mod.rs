//! The room `sync`: see `src/ARCHITECTURE.md`.
