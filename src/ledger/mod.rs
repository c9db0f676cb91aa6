//! The room `ledger`: see `src/ARCHITECTURE.md`.
