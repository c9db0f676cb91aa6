//! `=`, `~`, `<` between items and collections. Telling many items apart: `sets`.
//! Spec: <http://hl7.org/fhirpath/N1/#equality>.

use std::cmp::Ordering;

use rust_decimal::Decimal;
use serde_json::Value;

use super::{
    error::Error,
    eval::Run,
    item::{Item, Node, Quantity, decimal},
    quantity::{compare_quantities, equivalent_decimals, equivalent_quantities},
    temporal::{Temporal, TemporalKind},
    types::Kind,
};

/// A text as `~` sees it: case and the kind of blank do not count.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn same_number(left: &str, right: &str) -> bool {
    left == right || matches!((decimal(left), decimal(right)), (Some(left), Some(right)) if left == right)
}

/// A text that came from a place of unknown type, read as a date or time because the other side is one.
fn as_temporal(item: &Item<'_>, like: &Temporal) -> Option<Temporal> {
    let Item::Node(Node { value: Some(Value::String(text)), ty, .. }) = item else { return None };
    if !matches!(ty.kind, Kind::Unknown | Kind::String) {
        return None;
    }
    if like.kind == TemporalKind::Time { Temporal::time(text) } else { Temporal::date_time(text) }
}

fn number(item: &Item<'_>) -> Option<Decimal> {
    match item {
        Item::Integer(value) => Some(Decimal::from(*value)),
        Item::Decimal(value) => Some(*value),
        _ => None,
    }
}

/// A quantity, also of a plain number (unit `1`).
fn quantity<'a>(item: &Item<'a>) -> Option<Quantity<'a>> {
    item.quantity().or_else(|| number(item).map(|value| Quantity { value, unit: "1".into(), calendar: false }))
}

impl<'a> Run<'_, 'a> {
    fn deep_equal(&self, left: &Value, right: &Value) -> Result<bool, Error> {
        self.step()?;
        Ok(match (left, right) {
            (Value::Number(left), Value::Number(right)) => same_number(left.as_str(), right.as_str()),
            (Value::Array(left), Value::Array(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (left, right) in left.iter().zip(right) {
                    if !self.deep_equal(left, right)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Object(left), Value::Object(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (key, left) in left {
                    match right.get(key) {
                        Some(right) if self.deep_equal(left, right)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            (left, right) => left == right,
        })
    }

    fn deep_equivalent(&self, left: &Value, right: &Value) -> Result<bool, Error> {
        self.step()?;
        Ok(match (left, right) {
            (Value::String(left), Value::String(right)) => left == right || folded(left) == folded(right),
            (Value::Number(left), Value::Number(right)) => {
                matches!((decimal(left.as_str()), decimal(right.as_str())), (Some(left), Some(right)) if equivalent_decimals(left, right))
            }
            (Value::Array(left), Value::Array(right)) => {
                let mut free: Vec<&Value> = right.iter().collect();
                for left in left {
                    let mut found = None;
                    for (at, right) in free.iter().enumerate() {
                        if self.deep_equivalent(left, right)? {
                            found = Some(at);
                            break;
                        }
                    }
                    match found {
                        Some(at) => free.swap_remove(at),
                        None => return Ok(false),
                    };
                }
                free.is_empty()
            }
            (Value::Object(left), Value::Object(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (key, left) in left {
                    match right.get(key) {
                        Some(right) if self.deep_equivalent(left, right)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            (left, right) => left == right,
        })
    }

    fn equal_nodes(&self, left: &Node<'a>, right: &Node<'a>) -> Result<bool, Error> {
        let same = |left: Option<&Value>, right: Option<&Value>| match (left, right) {
            (Some(left), Some(right)) => {
                if std::ptr::eq(left, right) {
                    return Ok(true);
                }
                self.deep_equal(left, right)
            }
            (None, None) => Ok(true),
            _ => Ok(false),
        };
        Ok(same(left.value, right.value)? && same(left.sibling, right.sibling)?)
    }

    /// `=` of two items; `None` where precision leaves it open.
    pub(super) fn equal(&self, left: &Item<'a>, right: &Item<'a>) -> Result<Option<bool>, Error> {
        self.step()?;
        // The commonest case by far: two texts, at least one of them not a date
        if let (Some(a), Some(b)) = (left.text(), right.text()) {
            if a == b {
                return Ok(Some(true));
            }
            let dated = |item: &Item<'_>| match item {
                Item::Node(node) => matches!(node.ty.kind, Kind::Date | Kind::DateTime | Kind::Time),
                _ => false,
            };
            if !dated(left) || !dated(right) {
                return Ok(Some(false));
            }
        }
        if let (Item::Node(a), Item::Node(b)) = (left, right)
            && (a.is_same(b) || a.value.is_some_and(|v| v.is_object()) || b.value.is_some_and(|v| v.is_object()))
        {
            if self.equal_nodes(a, b)? {
                return Ok(Some(true));
            }
            return Ok(match (left.quantity(), right.quantity()) {
                (Some(left), Some(right)) => compare_quantities(&left, &right).map(Ordering::is_eq),
                _ => Some(false),
            });
        }
        let (a, b) = (left.atom(), right.atom());
        Ok(match (&a, &b) {
            (Item::Boolean(a), Item::Boolean(b)) => Some(a == b),
            (Item::String(a), Item::String(b)) => Some(a == b),
            (Item::Integer(a), Item::Integer(b)) => Some(a == b),
            (Item::Type(a, c), Item::Type(b, d)) => Some(a == b && c == d),
            (Item::Temporal(a), Item::Temporal(b)) => equal_temporals(a, b),
            (Item::Temporal(a), Item::String(_)) => {
                as_temporal(right, a).map_or(Some(false), |b| equal_temporals(a, &b))
            }
            (Item::String(_), Item::Temporal(b)) => {
                as_temporal(left, b).map_or(Some(false), |a| equal_temporals(&a, b))
            }
            (Item::Node(a), Item::Node(b)) => Some(self.equal_nodes(a, b)?),
            _ => match (number(&a), number(&b)) {
                (Some(a), Some(b)) => Some(a == b),
                _ => match (quantity(&a), quantity(&b)) {
                    (Some(a), Some(b)) => compare_quantities(&a, &b).map(Ordering::is_eq),
                    _ => Some(false),
                },
            },
        })
    }

    /// `~` of two items.
    pub(super) fn equivalent(&self, left: &Item<'a>, right: &Item<'a>) -> Result<bool, Error> {
        self.step()?;
        let (a, b) = (left.atom(), right.atom());
        Ok(match (&a, &b) {
            (Item::String(a), Item::String(b)) => a == b || folded(a) == folded(b),
            (Item::Temporal(a), Item::Temporal(b)) => a.equivalent(b),
            (Item::Temporal(a), Item::String(_)) => as_temporal(right, a).is_some_and(|b| a.equivalent(&b)),
            (Item::String(_), Item::Temporal(b)) => as_temporal(left, b).is_some_and(|a| a.equivalent(b)),
            (Item::Node(x), Item::Node(y)) => match (a.quantity(), b.quantity()) {
                (Some(a), Some(b)) => equivalent_quantities(&a, &b),
                _ => match (x.value, y.value) {
                    (Some(x), Some(y)) => std::ptr::eq(x, y) || self.deep_equivalent(x, y)?,
                    _ => self.equal_nodes(x, y)?,
                },
            },
            _ => match (number(&a), number(&b)) {
                (Some(a), Some(b)) => equivalent_decimals(a, b),
                _ => match (quantity(&a), quantity(&b)) {
                    (Some(a), Some(b)) => equivalent_quantities(&a, &b),
                    _ => self.equal(left, right)? == Some(true),
                },
            },
        })
    }

    /// `=` of two collections: order counts.
    pub(super) fn equal_all(&self, left: &[Item<'a>], right: &[Item<'a>]) -> Result<Option<bool>, Error> {
        if left.is_empty() || right.is_empty() {
            return Ok(None);
        }
        if left.len() != right.len() {
            return Ok(Some(false));
        }
        let mut result = Some(true);
        for (left, right) in left.iter().zip(right) {
            match self.equal(left, right)? {
                Some(true) => {}
                Some(false) => return Ok(Some(false)),
                None => result = None,
            }
        }
        Ok(result)
    }

    /// `~` of two collections: order does not count, two empty ones are equivalent.
    pub(super) fn equivalent_all(&self, left: &[Item<'a>], right: &[Item<'a>]) -> Result<bool, Error> {
        if left.len() != right.len() {
            return Ok(false);
        }
        let mut free: Vec<&Item<'a>> = right.iter().collect();
        for left in left {
            let mut found = None;
            for (at, right) in free.iter().enumerate() {
                if self.equivalent(left, right)? {
                    found = Some(at);
                    break;
                }
            }
            match found {
                Some(at) => free.remove(at),
                None => return Ok(false),
            };
        }
        Ok(true)
    }

    /// Order of two items; `None` where precision or units leave it open.
    pub(super) fn order(&self, left: &Item<'a>, right: &Item<'a>) -> Result<Option<Ordering>, Error> {
        self.step()?;
        let (a, b) = (left.atom(), right.atom());
        match (&a, &b) {
            (Item::String(x), Item::String(y)) => {
                // Places of unknown type: if both read as dates to the day or finer, they are
                if let (Item::Node(p), Item::Node(q)) = (left, right)
                    && p.ty.kind == Kind::Unknown
                    && q.ty.kind == Kind::Unknown
                    && x.len() >= 10
                    && y.len() >= 10
                    && let (Some(x), Some(y)) = (Temporal::date_time(x), Temporal::date_time(y))
                {
                    return Ok(x.compare(&y));
                }
                return Ok(Some(x.cmp(y)));
            }
            (Item::Integer(a), Item::Integer(b)) => return Ok(Some(a.cmp(b))),
            (Item::Temporal(a), Item::Temporal(b))
                if (a.kind == TemporalKind::Time) == (b.kind == TemporalKind::Time) =>
            {
                return Ok(a.compare(b));
            }
            (Item::Temporal(a), Item::String(_)) => {
                if let Some(b) = as_temporal(right, a) {
                    return Ok(a.compare(&b));
                }
            }
            (Item::String(_), Item::Temporal(b)) => {
                if let Some(a) = as_temporal(left, b) {
                    return Ok(a.compare(b));
                }
            }
            _ => {
                if let (Some(a), Some(b)) = (number(&a), number(&b)) {
                    return Ok(Some(a.cmp(&b)));
                }
                if let (Some(a), Some(b)) = (quantity(&a), quantity(&b)) {
                    return Ok(compare_quantities(&a, &b));
                }
            }
        }
        Err(Error::evaluation("values of these two types cannot be ordered"))
    }
}

fn equal_temporals(left: &Temporal, right: &Temporal) -> Option<bool> {
    if (left.kind == TemporalKind::Time) != (right.kind == TemporalKind::Time) {
        return Some(false);
    }
    left.compare(right).map(Ordering::is_eq)
}
