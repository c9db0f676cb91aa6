//! Units of measure: the only file that knows the UCUM crate. Conversion is exact (its factors are decimals of 28 digits),
//! except for special units (degrees Celsius and the like), which go through a float and are rounded to 12 digits.
//! Spec: <https://ucum.org/ucum>.

use std::{cmp::Ordering, str::FromStr};

use octofhir_ucum::{EvalResult, Number, evaluate, parse_expression};
use rust_decimal::Decimal;

fn evaluated(unit: &str) -> Option<EvalResult> {
    if unit.len() > 256 {
        return None;
    }
    evaluate(&parse_expression(unit).ok()?).ok()
}

fn number(value: Decimal) -> Option<Number> {
    Number::parse(&value.to_string())
}

fn decimal(value: Number) -> Option<Decimal> {
    let text = value.to_string();
    Decimal::from_str(&text).or_else(|_| Decimal::from_scientific(&text)).ok()
}

fn rounded(value: f64) -> Option<Decimal> {
    let text = format!("{value:.11e}");
    Decimal::from_scientific(&text).ok().map(|decimal| decimal.normalize())
}

/// Whether both are units and of the same dimension.
pub(super) fn comparable(left: &str, right: &str) -> bool {
    match (evaluated(left), evaluated(right)) {
        (Some(left), Some(right)) => left.is_commensurable(&right),
        _ => false,
    }
}

/// Compares two measures; `None` if their units are unknown or of different dimensions.
pub(super) fn compare(left: (Decimal, &str), right: (Decimal, &str)) -> Option<Ordering> {
    let (of_left, of_right) = (evaluated(left.1)?, evaluated(right.1)?);
    if !of_left.is_commensurable(&of_right) {
        return None;
    }
    if of_left.special.is_some() || of_right.special.is_some() {
        return Some(convert(left.0, left.1, right.1)?.cmp(&right.0));
    }
    let difference =
        number(left.0)?.checked_mul(of_left.factor)?.checked_sub(number(right.0)?.checked_mul(of_right.factor)?)?;
    Some(if difference.is_zero() {
        Ordering::Equal
    } else if difference.is_negative() {
        Ordering::Less
    } else {
        Ordering::Greater
    })
}

/// The value in another unit; `None` as for `compare`.
pub(super) fn convert(value: Decimal, from: &str, to: &str) -> Option<Decimal> {
    let (of_from, of_to) = (evaluated(from)?, evaluated(to)?);
    if !of_from.is_commensurable(&of_to) {
        return None;
    }
    if of_from.special.is_some() || of_to.special.is_some() {
        let float = value.to_string().parse().ok()?;
        return rounded(octofhir_ucum::convert(float, from, to).ok()?);
    }
    decimal(number(value)?.checked_mul(of_from.factor)?.checked_div(of_to.factor)?)
}

/// The unit of a product or quotient.
pub(super) fn combine(left: &str, right: &str, divide: bool) -> Option<String> {
    let one = |unit: &str| unit.is_empty() || unit == "1";
    let combined = match (one(left), one(right), divide) {
        // A calendar word is no unit of UCUM, yet may be multiplied
        (false, true, _) => return Some(left.to_owned()),
        (true, true, _) => "1".to_owned(),
        (true, false, false) => right.to_owned(),
        (true, false, true) => format!("/({right})"),
        (false, false, false) => format!("({left}).({right})"),
        (false, false, true) if left == right => "1".to_owned(),
        (false, false, true) => format!("({left})/({right})"),
    };
    evaluated(&combined).map(|_| combined)
}
