//! Arithmetic and functions of numbers, times and quantities. Decimals are exact; what is irrational is computed as a float
//! and rounded to 15 digits. What overflows or has no result is empty, as the specification has it.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use rust_decimal::{Decimal, RoundingStrategy, prelude::ToPrimitive};

use super::{
    ast::{Call, Operator},
    calendar::span,
    convert,
    error::Error,
    eval::{Run, Source},
    functions::Function,
    item::{Item, Quantity},
    temporal::Temporal,
    ucum,
};

type Value<'a> = Result<Option<Item<'a>>, Error>;

fn mismatch<T>() -> Result<T, Error> {
    Err(Error::evaluation("this operator does not take values of these types"))
}

fn decimal(item: &Item<'_>) -> Option<Decimal> {
    match item {
        Item::Integer(value) => Some(Decimal::from(*value)),
        Item::Decimal(value) => Some(*value),
        _ => None,
    }
}

/// A float as decimal of 15 significant digits.
fn from_float(value: f64) -> Option<Decimal> {
    if !value.is_finite() {
        return None;
    }
    Decimal::from_scientific(&format!("{value:.14e}")).ok().map(|decimal| decimal.normalize())
}

/// The number as a float, for functions whose results are irrational anyway.
fn float(value: Decimal) -> Option<f64> {
    value.to_string().parse().ok()
}

impl<'a> Run<'_, 'a> {
    /// Unary minus and plus.
    pub(super) fn polarity(&self, minus: bool, item: Option<Item<'a>>) -> Value<'a> {
        let Some(item) = item else { return Ok(None) };
        Ok(Some(match item.atom() {
            Item::Integer(value) if minus => return Ok(value.checked_neg().map(Item::Integer)),
            Item::Decimal(value) if minus && !value.is_zero() => Item::Decimal(-value),
            Item::Quantity(quantity) if minus => {
                Item::Quantity(Box::new(Quantity { value: -quantity.value, ..*quantity }))
            }
            same @ (Item::Integer(_) | Item::Decimal(_) | Item::Quantity(_)) => same,
            _ => return mismatch(),
        }))
    }

    pub(super) fn arithmetic(&self, operator: Operator, left: Option<Item<'a>>, right: Option<Item<'a>>) -> Value<'a> {
        if operator == Operator::Concatenate {
            return self.concatenate(left, right);
        }
        let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
        let (a, b) = (left.atom(), right.atom());
        match (&a, &b, operator) {
            (Item::Integer(a), Item::Integer(b), _) => return Ok(integers(operator, *a, *b)),
            (Item::String(_), Item::String(_), Operator::Add) => return self.concatenate(Some(a), Some(b)),
            (Item::Temporal(a), _, Operator::Add | Operator::Subtract) if b.quantity().is_some() => {
                return self.shift(a, &b, operator);
            }
            // A place of unknown type that holds a date
            (Item::String(text), _, Operator::Add | Operator::Subtract) if b.quantity().is_some() => {
                return match Temporal::date(text).or_else(|| Temporal::date_time(text)) {
                    Some(temporal) => self.shift(&temporal, &b, operator),
                    None => mismatch(),
                };
            }
            _ => {}
        }
        match (decimal(&a), decimal(&b)) {
            (Some(a), Some(b)) => Ok(decimals(operator, a, b)),
            _ => quantities(operator, &a, &b),
        }
    }

    /// `&`: nothing counts as the empty text.
    fn concatenate(&self, left: Option<Item<'a>>, right: Option<Item<'a>>) -> Value<'a> {
        let text = |item: Option<Item<'a>>| match item {
            None => Ok(Cow::Borrowed("")),
            // A date, a number: their text, as HL7's validator has it
            Some(item) => match convert::text(&item.atom()) {
                Some(text) if item.quantity().is_none() => Ok(text),
                _ => mismatch(),
            },
        };
        let (left, right) = (text(left)?, text(right)?);
        if left.is_empty() || right.is_empty() {
            return Ok(Some(Item::String(if right.is_empty() { left } else { right })));
        }
        self.pay_text(left.len() + right.len())?;
        Ok(Some(Item::String(Cow::Owned(format!("{left}{right}")))))
    }

    fn shift(&self, temporal: &Temporal, by: &Item<'a>, operator: Operator) -> Value<'a> {
        let Some(quantity) = by.quantity() else { return mismatch() };
        // UCUM's 'a' and 'mo' are mean lengths, not calendar ones
        let Some(span) = span(&quantity.unit) else {
            return Err(Error::evaluation("only a quantity of time of definite length can be added to a date or time"));
        };
        let value = if operator == Operator::Subtract { -quantity.value } else { quantity.value };
        Ok(temporal.plus(value, span).map(Item::Temporal))
    }

    pub(super) fn math(&self, call: &'a Call, source: Source<'_, 'a>) -> Value<'a> {
        use Function as F;
        let Some(item) = self.source_single(source)? else { return Ok(None) };
        let arg = match call.args.first() {
            Some(arg) => match self.single(arg, source.env)? {
                Some(item) => Some(item.atom()),
                None => return Ok(None),
            },
            None => None,
        };
        let atom = item.atom();
        if let (F::Abs, Some(quantity)) = (call.function, atom.quantity()) {
            return Ok(Some(Item::Quantity(Box::new(Quantity { value: quantity.value.abs(), ..quantity }))));
        }
        let Some(value) = decimal(&atom) else { return mismatch() };
        let whole = |value: Decimal| value.to_i64().map(Item::Integer);
        Ok(match call.function {
            F::Abs => match atom {
                Item::Integer(value) => value.checked_abs().map(Item::Integer),
                _ => Some(Item::Decimal(value.abs())),
            },
            F::Ceiling => whole(value.ceil()),
            F::Floor => whole(value.floor()),
            F::Truncate => whole(value.trunc()),
            F::Round => {
                let places = match arg {
                    None => 0,
                    Some(Item::Integer(places)) if (0..=28).contains(&places) => u32::try_from(places).unwrap_or(0),
                    Some(_) => return Err(Error::evaluation("the precision of round() is an Integer from 0 to 28")),
                };
                match atom {
                    Item::Integer(_) => Some(atom),
                    _ => Some(Item::Decimal(
                        value.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero),
                    )),
                }
            }
            F::Power => match (&atom, &arg) {
                (Item::Integer(base), Some(Item::Integer(exponent))) if *exponent >= 0 => {
                    u32::try_from(*exponent).ok().and_then(|exponent| base.checked_pow(exponent)).map(Item::Integer)
                }
                (_, Some(arg)) => match decimal(arg) {
                    Some(exponent) => power(value, exponent).map(Item::Decimal),
                    None => return mismatch(),
                },
                _ => None,
            },
            function => {
                let Some(x) = float(value) else { return Ok(None) };
                let result = match function {
                    F::Exp => x.exp(),
                    F::Ln => x.ln(),
                    F::Sqrt => x.sqrt(),
                    _ => match arg.as_ref().and_then(decimal).and_then(float) {
                        Some(base) => x.ln() / base.ln(),
                        None => return mismatch(),
                    },
                };
                from_float(result).map(Item::Decimal)
            }
        })
    }

    /// `now()`, `today()`, `timeOfDay()`, boundaries, `precision()`.
    pub(super) fn time_and_bounds(&self, call: &'a Call, source: Source<'_, 'a>) -> Value<'a> {
        use Function as F;
        if matches!(call.function, F::Now | F::Today | F::TimeOfDay) {
            let Some(now) = self.context.now else {
                return Err(Error::evaluation("the time is not known here"));
            };
            let now = Temporal::at(now, self.context.zone.unwrap_or(&TimeZone::UTC));
            return Ok(now.map(|now| {
                Item::Temporal(match call.function {
                    F::Today => now.to_date(),
                    F::TimeOfDay => now.to_time(),
                    _ => now,
                })
            }));
        }
        let Some(item) = self.source_single(source)? else { return Ok(None) };
        let atom = item.atom();
        if call.function == F::Precision {
            return match &atom {
                Item::Temporal(temporal) => Ok(Some(Item::Integer(temporal.stated_digits()))),
                Item::Integer(_) => Ok(Some(Item::Integer(0))),
                Item::Decimal(value) => Ok(Some(Item::Integer(i64::from(value.scale())))),
                _ => mismatch(),
            };
        }
        let places = self.arg_integer(call.args.first(), source)?;
        let low = call.function == F::LowBoundary;
        Ok(match &atom {
            Item::Temporal(temporal) => temporal.boundary(low, places).map(Item::Temporal),
            Item::String(text) => {
                Temporal::date_time(text).and_then(|temporal| temporal.boundary(low, places)).map(Item::Temporal)
            }
            other => match (decimal(other), other.quantity()) {
                (Some(value), _) => decimal_boundary(value, low, places).map(Item::Decimal),
                (None, Some(quantity)) => decimal_boundary(quantity.value, low, places)
                    .map(|value| Item::Quantity(Box::new(Quantity { value, ..quantity }))),
                _ => return mismatch(),
            },
        })
    }
}

/// The least or greatest value that rounds to `value`, at `places` decimals (8 unless told, at most 28).
fn decimal_boundary(value: Decimal, low: bool, places: Option<i64>) -> Option<Decimal> {
    let places = u32::try_from(places.unwrap_or(8)).ok().filter(|places| *places <= 28)?;
    let half = Decimal::new(5, (value.scale() + 1).min(28));
    let bound = if low { value.checked_sub(half)? } else { value.checked_add(half)? };
    // As HL7's suite has it: away from zero by halves, towards zero by cutting
    let outward = low == value.is_sign_negative() && !value.is_zero();
    let strategy = if outward { RoundingStrategy::MidpointAwayFromZero } else { RoundingStrategy::ToZero };
    let mut rounded = bound.round_dp_with_strategy(places, strategy);
    rounded.rescale(places);
    Some(rounded)
}

fn power(base: Decimal, exponent: Decimal) -> Option<Decimal> {
    if exponent.fract().is_zero()
        && let Some(times) = exponent.to_u32().filter(|times| *times <= 1000)
    {
        let mut result = Decimal::ONE;
        for _ in 0..times {
            result = result.checked_mul(base)?;
        }
        return Some(result);
    }
    from_float(float(base)?.powf(float(exponent)?))
}

fn integers<'a>(operator: Operator, a: i64, b: i64) -> Option<Item<'a>> {
    match operator {
        Operator::Add => a.checked_add(b).map(Item::Integer),
        Operator::Subtract => a.checked_sub(b).map(Item::Integer),
        Operator::Multiply => a.checked_mul(b).map(Item::Integer),
        Operator::Div => a.checked_div(b).map(Item::Integer),
        Operator::Mod => a.checked_rem(b).map(Item::Integer),
        _ => decimals(operator, Decimal::from(a), Decimal::from(b)),
    }
}

fn decimals<'a>(operator: Operator, a: Decimal, b: Decimal) -> Option<Item<'a>> {
    match operator {
        Operator::Add => a.checked_add(b).map(Item::Decimal),
        Operator::Subtract => a.checked_sub(b).map(Item::Decimal),
        Operator::Multiply => a.checked_mul(b).map(Item::Decimal),
        Operator::Divide => a.checked_div(b).map(Item::Decimal),
        Operator::Div => a.checked_div(b)?.trunc().to_i64().map(Item::Integer),
        Operator::Mod => a.checked_rem(b).map(Item::Decimal),
        _ => None,
    }
}

fn quantities<'a>(operator: Operator, a: &Item<'a>, b: &Item<'a>) -> Value<'a> {
    let measure = |item: &Item<'a>| match convert::convert(item, convert::Target::Quantity, None) {
        Some(Item::Quantity(quantity)) if !matches!(item, Item::String(_) | Item::Boolean(_)) => Some(quantity),
        _ => None,
    };
    let (Some(a), Some(b)) = (measure(a), measure(b)) else { return mismatch() };
    let made = |value: Option<Decimal>, unit: String, calendar| {
        value.map(|value| Item::Quantity(Box::new(Quantity { value, unit: Cow::Owned(unit), calendar })))
    };
    Ok(match operator {
        Operator::Add | Operator::Subtract => {
            let same = a.unit == b.unit && a.calendar == b.calendar;
            let other = if same { Some(b.value) } else { ucum::convert(b.value, &b.unit, &a.unit) };
            let value = other.and_then(|other| match operator {
                Operator::Add => a.value.checked_add(other),
                _ => a.value.checked_sub(other),
            });
            made(value, a.unit.into_owned(), a.calendar)
        }
        Operator::Multiply | Operator::Divide => {
            let divide = operator == Operator::Divide;
            let value = if divide { a.value.checked_div(b.value) } else { a.value.checked_mul(b.value) };
            match ucum::combine(&a.unit, &b.unit, divide) {
                Some(unit) => made(value, unit, a.calendar && &*b.unit == "1"),
                None => None,
            }
        }
        _ => return mismatch(),
    })
}
