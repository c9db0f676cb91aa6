//! The room `access`: see `src/ARCHITECTURE.md`.
