//! Wires the rooms together: configuration, clock, ledger, systems, listener. The only room (with `clock`) that may
//! ask the machine for time or chance.
