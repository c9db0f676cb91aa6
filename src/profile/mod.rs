//! The room `profile`: see `src/ARCHITECTURE.md`.
