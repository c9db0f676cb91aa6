//! The room `rest`: see `src/ARCHITECTURE.md`.
