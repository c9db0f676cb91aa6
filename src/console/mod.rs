//! The room `console`: see `src/ARCHITECTURE.md`.
