//! Comparing numbers and quantities: calendar words, UCUM units, precision.
//! Spec: <http://hl7.org/fhirpath/N1/#quantity-equality>.

use std::cmp::Ordering;

use rust_decimal::{Decimal, RoundingStrategy};

use super::{
    calendar::{Span, span},
    item::Quantity,
    ucum,
};

/// The UCUM code of a unit; calendar words of indefinite length have none.
fn ucum_code<'q>(quantity: &'q Quantity<'_>) -> Option<&'q str> {
    if !quantity.calendar {
        return Some(&quantity.unit);
    }
    Some(match &*quantity.unit {
        "week" | "weeks" => "wk",
        "day" | "days" => "d",
        "hour" | "hours" => "h",
        "minute" | "minutes" => "min",
        "second" | "seconds" => "s",
        "millisecond" | "milliseconds" => "ms",
        _ => return None,
    })
}

/// Compares quantities; `None` where their units do not allow it.
pub(super) fn compare_quantities(left: &Quantity<'_>, right: &Quantity<'_>) -> Option<Ordering> {
    if left.unit == right.unit && left.calendar == right.calendar {
        return Some(left.value.cmp(&right.value));
    }
    match (ucum_code(left), ucum_code(right)) {
        (Some(a), Some(b)) => ucum::compare((left.value, a), (right.value, b)),
        (None, None) => {
            let months = |quantity: &Quantity<'_>| match span(&quantity.unit) {
                Some(Span::Months(months)) => quantity.value.checked_mul(Decimal::from(months)),
                _ => None,
            };
            Some(months(left)?.cmp(&months(right)?))
        }
        _ => None,
    }
}

/// Rounds both to the lesser number of decimal places.
pub(super) fn equivalent_decimals(left: Decimal, right: Decimal) -> bool {
    let places = left.normalize().scale().min(right.normalize().scale());
    let round = |value: Decimal| value.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
    round(left) == round(right)
}

pub(super) fn equivalent_quantities(left: &Quantity<'_>, right: &Quantity<'_>) -> bool {
    let code = |quantity: &Quantity<'_>| {
        ucum_code(quantity).unwrap_or(if quantity.unit.starts_with("year") { "a" } else { "mo" }).to_owned()
    };
    let (left_code, right_code) = (code(left), code(right));
    if left_code == right_code {
        return equivalent_decimals(left.value, right.value);
    }
    ucum::convert(right.value, &right_code, &left_code).is_some_and(|value| equivalent_decimals(left.value, value))
}

impl Quantity<'_> {
    /// Whether the units are of the same dimension, or both calendar years and months.
    pub(super) fn is_comparable(&self, other: &Quantity<'_>) -> bool {
        match (ucum_code(self), ucum_code(other)) {
            (Some(left), Some(right)) => ucum::comparable(left, right),
            (None, None) => true,
            _ => false,
        }
    }

    /// Orders two quantities, converting units; `None` where their units do not allow it.
    #[must_use]
    pub fn compare(&self, other: &Quantity<'_>) -> Option<Ordering> {
        compare_quantities(self, other)
    }
}
