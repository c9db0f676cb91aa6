//! `toInteger()` and its kin: what each value converts to, or nothing.
//! Spec: <http://hl7.org/fhirpath/N1/#conversion>.

use std::borrow::Cow;

use rust_decimal::Decimal;

use super::{
    functions::Function,
    item::{Item, Quantity},
    temporal::{Temporal, TemporalKind},
    ucum,
};

/// What to convert to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Boolean,
    Integer,
    Long,
    Decimal,
    Date,
    DateTime,
    Time,
    Quantity,
    Text,
}

/// The target of `toX()` (false) and `convertsToX()` (true).
pub(super) fn target(function: Function) -> Option<(Target, bool)> {
    use Function as F;
    Some(match function {
        F::ToBoolean => (Target::Boolean, false),
        F::ToInteger => (Target::Integer, false),
        F::ToLong => (Target::Long, false),
        F::ToDecimal => (Target::Decimal, false),
        F::ToDate => (Target::Date, false),
        F::ToDateTime => (Target::DateTime, false),
        F::ToTime => (Target::Time, false),
        F::ToQuantity => (Target::Quantity, false),
        F::ToStringValue => (Target::Text, false),
        F::ConvertsToBoolean => (Target::Boolean, true),
        F::ConvertsToInteger => (Target::Integer, true),
        F::ConvertsToLong => (Target::Long, true),
        F::ConvertsToDecimal => (Target::Decimal, true),
        F::ConvertsToDate => (Target::Date, true),
        F::ConvertsToDateTime => (Target::DateTime, true),
        F::ConvertsToTime => (Target::Time, true),
        F::ConvertsToQuantity => (Target::Quantity, true),
        F::ConvertsToString => (Target::Text, true),
        _ => return None,
    })
}

/// Whether the function works on numbers.
pub(super) fn is_math(function: Function) -> bool {
    use Function as F;
    matches!(
        function,
        F::Abs | F::Ceiling | F::Exp | F::Floor | F::Ln | F::Log | F::Power | F::Round | F::Sqrt | F::Truncate
    )
}

/// The converted item, or nothing where there is no conversion. `unit`: of `toQuantity(unit)`.
pub(super) fn convert<'a>(item: &Item<'a>, target: Target, unit: Option<&str>) -> Option<Item<'a>> {
    let atom = item.atom();
    match target {
        Target::Boolean => boolean(&atom).map(Item::Boolean),
        Target::Integer => integer(&atom).filter(|value| i32::try_from(*value).is_ok()).map(Item::Integer),
        Target::Long => integer(&atom).map(Item::Integer),
        Target::Decimal => number(&atom).map(Item::Decimal),
        Target::Date => match &atom {
            Item::Temporal(temporal) if temporal.kind != TemporalKind::Time => Some(Item::Temporal(temporal.to_date())),
            Item::String(text) => {
                Temporal::date(text).or_else(|| Temporal::date_time(text).map(Temporal::to_date)).map(Item::Temporal)
            }
            _ => None,
        },
        Target::DateTime => match &atom {
            Item::Temporal(temporal) if temporal.kind != TemporalKind::Time => {
                Some(Item::Temporal(Temporal { kind: TemporalKind::DateTime, ..*temporal }))
            }
            Item::String(text) => Temporal::date_time(text).map(Item::Temporal),
            _ => None,
        },
        Target::Time => match &atom {
            Item::Temporal(temporal) if temporal.kind == TemporalKind::Time => Some(atom),
            Item::String(text) => Temporal::time(text.strip_prefix('T').unwrap_or(text)).map(Item::Temporal),
            _ => None,
        },
        Target::Quantity => {
            let quantity = to_quantity(&atom)?;
            match unit {
                Some(unit) if unit != quantity.unit => {
                    let value = ucum::convert(quantity.value, &quantity.unit, unit)?;
                    Some(Item::Quantity(Box::new(Quantity {
                        value,
                        unit: Cow::Owned(unit.to_owned()),
                        calendar: false,
                    })))
                }
                _ => Some(Item::Quantity(Box::new(quantity))),
            }
        }
        Target::Text => text(&atom).map(Item::String),
    }
}

fn boolean(atom: &Item<'_>) -> Option<bool> {
    match atom {
        Item::Boolean(value) => Some(*value),
        Item::Integer(0) => Some(false),
        Item::Integer(1) => Some(true),
        Item::Decimal(value) if value.is_zero() => Some(false),
        Item::Decimal(value) if *value == Decimal::ONE => Some(true),
        Item::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" | "1.0" => Some(true),
            "false" | "f" | "no" | "n" | "0" | "0.0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn integer(atom: &Item<'_>) -> Option<i64> {
    match atom {
        Item::Integer(value) => Some(*value),
        Item::Boolean(value) => Some(i64::from(*value)),
        Item::String(text) => {
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| text.parse().ok())?
        }
        _ => None,
    }
}

fn number(atom: &Item<'_>) -> Option<Decimal> {
    match atom {
        Item::Integer(value) => Some(Decimal::from(*value)),
        Item::Decimal(value) => Some(*value),
        Item::Boolean(value) => Some(Decimal::from(u8::from(*value))),
        Item::String(text) => plain_decimal(text),
        _ => None,
    }
}

/// `(+|-)?\d+(\.\d+)?`.
fn plain_decimal(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (plain(whole) && plain(fraction)).then(|| text.strip_prefix('+').unwrap_or(text).parse().ok())?
}

fn to_quantity<'a>(atom: &Item<'a>) -> Option<Quantity<'a>> {
    if let Some(quantity) = atom.quantity() {
        return Some(quantity);
    }
    if let Item::String(text) = atom {
        let text = text.trim();
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let value = plain_decimal(&text[..end])?;
        let unit = text[end..].trim();
        if unit.is_empty() {
            return Some(Quantity { value, unit: Cow::Borrowed("1"), calendar: false });
        }
        if let Some(quoted) = unit.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
            return Some(Quantity { value, unit: Cow::Owned(quoted.to_owned()), calendar: false });
        }
        let word = unit.strip_suffix('s').unwrap_or(unit);
        let calendar = matches!(word, "year" | "month" | "week" | "day" | "hour" | "minute" | "second" | "millisecond");
        return calendar.then(|| Quantity { value, unit: Cow::Owned(unit.to_owned()), calendar: true });
    }
    number(atom).map(|value| Quantity { value, unit: Cow::Borrowed("1"), calendar: false })
}

/// The text of a value, as `toString()` gives it.
pub(super) fn text<'a>(atom: &Item<'a>) -> Option<Cow<'a, str>> {
    Some(match atom {
        Item::String(text) => text.clone(),
        Item::Boolean(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
        Item::Integer(value) => Cow::Owned(value.to_string()),
        Item::Decimal(value) => Cow::Owned(value.to_string()),
        Item::Temporal(value) => Cow::Owned(value.to_string()),
        Item::Quantity(quantity) if quantity.calendar => Cow::Owned(format!("{} {}", quantity.value, quantity.unit)),
        Item::Quantity(quantity) => Cow::Owned(format!("{} '{}'", quantity.value, quantity.unit)),
        Item::Node(_) => {
            let quantity = atom.quantity()?;
            Cow::Owned(format!("{} '{}'", quantity.value, quantity.unit))
        }
        Item::Type(..) => return None,
    })
}
