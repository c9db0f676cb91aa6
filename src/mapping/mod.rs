//! The room `mapping`: see `src/ARCHITECTURE.md`.
