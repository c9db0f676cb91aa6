//! FHIRPath within mappings: over the internal object or over FHIR. Types are inferred from the JSON. An expression that
//! cannot be evaluated on some data does not hold there.

use serde_json::Value;

use crate::fhirpath::{Context, Expression, Item, Node, Type};

/// A compiled expression.
#[derive(Clone)]
pub(crate) struct Condition(Expression);

/// As its author wrote it: part of a plan's digest.
impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0.text())
    }
}

impl Condition {
    /// Compiles; the error is told in words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Expression::parse(text).map(Self).map_err(|error| error.to_string())
    }

    pub(crate) fn text(&self) -> &str {
        self.0.text()
    }

    /// Whether it holds for `value`.
    pub(crate) fn holds(&self, value: &Value) -> bool {
        let context = Context::inferred(value);
        let truth = self.0.holds(Node::new(Some(value), None, Type::UNKNOWN), &context);
        truth.unwrap_or(false)
    }

    /// The single value it gives as JSON; none where it gives none, several or an error.
    pub(crate) fn compute(&self, value: &Value) -> Option<Value> {
        let context = Context::inferred(value);
        let found = self.0.evaluate(Node::new(Some(value), None, Type::UNKNOWN), &context).ok()?;
        let [item] = found.as_slice() else { return None };
        if let Item::Node(node) = item {
            return node.value().cloned();
        }
        if let Item::Boolean(flag) = item {
            return Some(Value::Bool(*flag));
        }
        if let Item::String(text) = item {
            return Some(Value::String(text.to_string()));
        }
        if let Item::Integer(number) = item {
            return Some(Value::Number((*number).into()));
        }
        if let Item::Decimal(number) = item {
            return number.to_string().parse().ok().map(Value::Number);
        }
        None
    }
}
