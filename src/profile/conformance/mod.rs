//! Conformance resources: what HL7's validator checks of code systems, value sets, search parameters and structure
//! definitions beyond structure and invariants.

mod code_system;
mod search_parameter;
mod structure;
mod value_set;

use serde_json::Value;

/// The items of a list member; none where it is absent.
fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The text of a member.
fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}
