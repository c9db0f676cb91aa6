//! Native twins of common invariants: the same answers as the expressions, without the engine. A twin is used only when
//! the expression's text is the one that it was written for; a test holds both against each other.

use serde_json::Value;

/// Decides an invariant on an object.
pub type Native = fn(&Value) -> bool;

/// The twin of an expression, if there is one.
pub fn twin(key: &str, expression: &str) -> Option<Native> {
    TWINS.iter().find(|(twin_key, text, _)| *twin_key == key && *text == expression).map(|twin| twin.2)
}

/// Key, expression, twin.
pub const TWINS: &[(&str, &str, Native)] = &[
    ("qty-3", "code.empty() or system.exists()", |value| !has(value, "code") || has(value, "system")),
    ("cpt-2", "value.empty() or system.exists()", |value| !has(value, "value") || has(value, "system")),
    ("att-1", "data.empty() or contentType.exists()", |value| !has(value, "data") || has(value, "contentType")),
];

/// Whether a primitive child exists, by value or by extension.
fn has(value: &Value, name: &str) -> bool {
    value.get(name).is_some_and(|child| !child.is_null()) || value.get(format!("_{name}")).is_some()
}
