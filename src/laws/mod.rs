//! The room `laws`: see `src/ARCHITECTURE.md`.
