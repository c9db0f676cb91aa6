//! The room `sandbox`: see `src/ARCHITECTURE.md`.
