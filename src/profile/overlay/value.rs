//! Fixed values, patterns, and bounds (<https://hl7.org/fhir/R4/elementdefinition.html>).

use std::cmp::Ordering;

use rust_decimal::Decimal;
use serde_json::Value;

use crate::{definitions::TypedValue, fhir::canonically_equal};

/// Whether `value` is exactly `fixed`.
pub fn is_fixed(fixed: &Value, value: &Value) -> bool {
    canonically_equal(fixed, value)
}

/// Whether `value` holds at least what `pattern` holds: every member, every list item somewhere in the list.
pub fn fits(pattern: &Value, value: &Value) -> bool {
    match (pattern, value) {
        (Value::Object(pattern), Value::Object(value)) => {
            pattern.iter().all(|(key, part)| value.get(key).is_some_and(|value| fits(part, value)))
        }
        (Value::Array(pattern), Value::Array(value)) => {
            pattern.iter().all(|part| value.iter().any(|value| fits(part, value)))
        }
        (part, Value::Array(value)) => value.iter().any(|value| fits(part, value)),
        _ => canonically_equal(pattern, value),
    }
}

/// How `value` stands to a bound; none where they cannot be compared.
pub fn compare(bound: &TypedValue, value: &Value) -> Option<Ordering> {
    match (&bound.value, value) {
        (Value::Number(bound), Value::Number(value)) => decimal(value.as_str())?.partial_cmp(&decimal(bound.as_str())?),
        (Value::String(bound), Value::String(value)) => times(bound, value),
        (Value::Object(bound), Value::Object(value)) => {
            let same = |name: &str| bound.get(name) == value.get(name);
            let unit = if bound.contains_key("code") { same("code") && same("system") } else { same("unit") };
            let (Some(Value::Number(bound)), Some(Value::Number(value))) = (bound.get("value"), value.get("value"))
            else {
                return None;
            };
            if !unit {
                return None;
            }
            decimal(value.as_str())?.partial_cmp(&decimal(bound.as_str())?)
        }
        _ => None,
    }
}

fn decimal(text: &str) -> Option<Decimal> {
    text.parse().ok().or_else(|| Decimal::from_scientific(text).ok())
}

/// Dates and times to the precision that both have; instants by the moment they mean.
fn times(bound: &str, value: &str) -> Option<Ordering> {
    if let (Ok(bound), Ok(value)) = (bound.parse::<jiff::Timestamp>(), value.parse::<jiff::Timestamp>()) {
        return Some(value.cmp(&bound));
    }
    let shared = bound.len().min(value.len()).min(10);
    if !bound.is_char_boundary(shared) || !value.is_char_boundary(shared) {
        return None;
    }
    let shared = if bound.contains('T') && value.contains('T') { 19.min(bound.len()).min(value.len()) } else { shared };
    Some(value.get(..shared)?.cmp(bound.get(..shared)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::read_str;

    #[test]
    fn patterns_and_bounds() {
        let json = |text| read_str(text).unwrap();
        let concept =
            json(r#"{"coding":[{"system":"s","code":"a"},{"system":"s","code":"b","display":"B"}],"text":"x"}"#);
        assert!(fits(&json(r#"{"coding":[{"code":"b"}]}"#), &concept));
        assert!(!fits(&json(r#"{"coding":[{"code":"c"}]}"#), &concept));
        assert!(!is_fixed(&json(r#"{"coding":[{"code":"b"}]}"#), &concept));
        let bound = |kind: &str, text| TypedValue { type_name: kind.into(), value: json(text) };
        assert_eq!(compare(&bound("decimal", "1.0"), &json("1.00")), Some(Ordering::Equal));
        assert_eq!(compare(&bound("date", "\"2020-05-01\""), &json("\"2019\"")), Some(Ordering::Less));
        assert_eq!(compare(&bound("Quantity", r#"{"value":3,"unit":"kg"}"#), &json(r#"{"value":2,"unit":"g"}"#)), None);
    }
}
