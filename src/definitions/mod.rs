//! The room `definitions`: see `src/ARCHITECTURE.md`.
