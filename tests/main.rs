//! Black-box tests of Liaison: one binary, one module a file, so that the library is linked once.

mod api;
mod bad_input;
mod definitions;
mod definitions_packages;
mod definitions_snapshots;
mod demo;
mod faults;
mod fhir;
mod fhirpath_fuzz;
mod fhirpath_suite;
mod foreign_ehr;
mod kill;
mod laws;
mod mappings;
mod objects;
mod pull;
mod push;
mod sandbox;
mod sandbox_faults;
mod sandbox_practice;
mod support;
mod tidy;
mod validator_bad;
mod validator_cases;
mod validator_mutants;
mod validator_sweep;
