//! Fixed values, patterns, and bounds (<https://hl7.org/fhir/R4/elementdefinition.html>).

use std::cmp::Ordering;

use jiff::{Span, Timestamp, tz::TimeZone};
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde_json::Value;

use crate::{
    definitions::TypedValue,
    fhir::{canonically_equal, member},
    fhirpath::{Item, Kind, Node, Type},
};

const UCUM: &str = "http://unitsofmeasure.org";

/// Whether `value` is exactly `fixed`.
pub fn is_fixed(fixed: &Value, value: &Value) -> bool {
    canonically_equal(fixed, value)
}

/// Whether `value` holds at least what `pattern` holds: every member, every list item somewhere in the list.
pub fn fits(pattern: &Value, value: &Value) -> bool {
    match (pattern, value) {
        (Value::Object(pattern), Value::Object(value)) => {
            pattern.iter().all(|(key, part)| member(value, key).is_some_and(|value| fits(part, value)))
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
        (Value::Object(_), Value::Object(_)) if let Some(order) = quantities(&bound.value, value) => Some(order),
        (Value::Object(bound), Value::Object(value)) => {
            let same = |name: &str| bound.get(name) == value.get(name);
            let unit = if bound.contains_key("code") { same("code") && same("system") } else { same("unit") };
            let (Some(Value::Number(bound)), Some(Value::Number(value))) =
                (member(bound, "value"), member(value, "value"))
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

/// Quantities in comparable units of UCUM.
fn quantities(bound: &Value, value: &Value) -> Option<Ordering> {
    let coded = |value: &Value| value.get("code").is_some() && value.get("system").is_some_and(|it| it == UCUM);
    if !coded(bound) || !coded(value) {
        return None;
    }
    let ty = Type { id: 0, kind: Kind::Quantity };
    let read = |value| Item::Node(Node::new(Some(value), None, ty)).quantity();
    read(value)?.compare(&read(bound)?)
}

/// The bound that a duration means for a date or time: reckoned back from now for the least, on from now for the most.
/// None where this is no such bound, or it cannot be reckoned.
pub fn relative(bound: &TypedValue, value: &Value, least: bool, now: Option<Timestamp>) -> Option<TypedValue> {
    let (Value::Object(duration), Value::String(value)) = (&bound.value, value) else { return None };
    let amount = decimal(member(duration, "value")?.as_number()?.as_str())?.to_i64()?;
    let amount = if least { amount.checked_neg()? } else { amount };
    let span = Span::new();
    let span = match member(duration, "code").or_else(|| member(duration, "unit"))?.as_str()? {
        "a" => span.try_years(amount),
        "mo" => span.try_months(amount),
        "wk" => span.try_weeks(amount),
        "d" => span.try_days(amount),
        "h" => span.try_hours(amount),
        "min" => span.try_minutes(amount),
        "s" => span.try_seconds(amount),
        _ => return None,
    };
    let limit = now?.to_zoned(TimeZone::UTC).checked_add(span.ok()?).ok()?;
    let text = if value.contains('T') { limit.timestamp().to_string() } else { limit.date().to_string() };
    Some(TypedValue { type_name: "dateTime".to_owned(), value: Value::String(text) })
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
        let json = |text: &str| read_str(text).unwrap();
        let concept =
            json(r#"{"coding":[{"system":"s","code":"a"},{"system":"s","code":"b","display":"B"}],"text":"x"}"#);
        assert!(fits(&json(r#"{"coding":[{"code":"b"}]}"#), &concept));
        assert!(!fits(&json(r#"{"coding":[{"code":"c"}]}"#), &concept));
        assert!(!is_fixed(&json(r#"{"coding":[{"code":"b"}]}"#), &concept));
        let bound = |kind: &str, text: &str| TypedValue { type_name: kind.into(), value: json(text) };
        assert_eq!(compare(&bound("decimal", "1.0"), &json("1.00")), Some(Ordering::Equal));
        assert_eq!(compare(&bound("date", "\"2020-05-01\""), &json("\"2019\"")), Some(Ordering::Less));
        let ucum = |value: &str, code: &str| format!(r#"{{"value":{value},"system":"{UCUM}","code":"{code}"}}"#);
        assert_eq!(compare(&bound("Quantity", &ucum("1", "kg")), &json(&ucum("999", "g"))), Some(Ordering::Less));
        assert_eq!(compare(&bound("Quantity", &ucum("1", "kg")), &json(&ucum("999", "m"))), None);
        assert_eq!(compare(&bound("Quantity", r#"{"value":3,"unit":"kg"}"#), &json(r#"{"value":2,"unit":"g"}"#)), None);
    }
}
