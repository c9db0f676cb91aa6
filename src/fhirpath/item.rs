//! Items and collections. A `Node` borrows a place of the resource; everything else is a value that an expression made.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde_json::Value;
use smallvec::SmallVec;

use super::{
    temporal::{Temporal, TemporalKind},
    types::{Kind, Type},
};

/// A place in a resource: its value, its primitive sibling (`_birthDate`), and its type.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    pub(super) value: Option<&'a Value>,
    pub(super) sibling: Option<&'a Value>,
    pub(super) ty: Type,
}

impl<'a> Node<'a> {
    /// A place with a known type. `sibling` is the object under `_name` for a primitive.
    #[must_use]
    pub fn new(value: Option<&'a Value>, sibling: Option<&'a Value>, ty: Type) -> Self {
        Self { value, sibling, ty }
    }

    /// The JSON value; none for a primitive that has only extensions, and for a reference of which only the type is known.
    #[must_use]
    pub fn value(&self) -> Option<&'a Value> {
        self.value
    }

    /// The object with `id` and `extension` of a primitive.
    #[must_use]
    pub fn sibling(&self) -> Option<&'a Value> {
        self.sibling
    }

    /// Its type; `Model::name` gives the name.
    #[must_use]
    pub fn ty(&self) -> Type {
        self.ty
    }

    /// Whether both are the same place (not merely equal).
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let same = |left: Option<&Value>, right: Option<&Value>| match (left, right) {
            (Some(left), Some(right)) => std::ptr::eq(left, right),
            (None, None) => true,
            _ => false,
        };
        (self.value.is_some() || self.sibling.is_some())
            && same(self.value, other.value)
            && same(self.sibling, other.sibling)
    }
}

/// System.Quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity<'a> {
    /// The value; its scale is the precision.
    pub value: Decimal,
    /// A UCUM unit (`1` for none), a calendar word, or the text of a quantity that is not UCUM.
    pub unit: Cow<'a, str>,
    /// Whether the unit is a calendar word (`year`, `days`), which is not the same as UCUM's `a`.
    pub calendar: bool,
}

/// One item of a collection.
#[derive(Clone, Debug)]
pub enum Item<'a> {
    /// A place in a resource.
    Node(Node<'a>),
    /// System.Boolean.
    Boolean(bool),
    /// System.String.
    String(Cow<'a, str>),
    /// System.Integer.
    Integer(i64),
    /// System.Decimal; the scale is the precision.
    Decimal(Decimal),
    /// System.Date, System.DateTime or System.Time.
    Temporal(Temporal),
    /// System.Quantity.
    Quantity(Box<Quantity<'a>>),
    /// What `type()` gives: namespace and name.
    Type(&'static str, Cow<'a, str>),
}

/// A collection; one item needs no allocation.
pub type Collection<'a> = SmallVec<[Item<'a>; 1]>;

/// The exact decimal of a JSON number's text.
pub(super) fn decimal(text: &str) -> Option<Decimal> {
    if text.contains(['e', 'E']) {
        return Decimal::from_scientific(&text.replacen("e+", "e", 1).replacen("E+", "E", 1)).ok();
    }
    text.parse().ok()
}

impl<'a> Item<'a> {
    /// The value that operators see: a primitive node becomes the System value of its type, all else stays itself.
    /// Texts of dates that cannot be read stay texts.
    #[must_use]
    pub fn atom(&self) -> Self {
        let Item::Node(node) = self else { return self.clone() };
        match node.value {
            Some(Value::Bool(value)) => Item::Boolean(*value),
            Some(Value::String(text)) => match node.ty.kind {
                Kind::Date => Temporal::date(text).map(Item::Temporal),
                Kind::DateTime => Temporal::date_time(text).map(Item::Temporal),
                Kind::Time => Temporal::time(text).map(Item::Temporal),
                _ => None,
            }
            .unwrap_or(Item::String(Cow::Borrowed(text))),
            Some(Value::Number(number)) => {
                let text = number.as_str();
                let integer = if matches!(node.ty.kind, Kind::Decimal) { None } else { text.parse().ok() };
                match integer {
                    Some(integer) => Item::Integer(integer),
                    None => decimal(text).map_or(self.clone(), Item::Decimal),
                }
            }
            _ => self.clone(),
        }
    }

    /// The text of a String or of a string-like node, without copying.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Item::String(text) => Some(text),
            Item::Node(Node { value: Some(Value::String(text)), .. }) => Some(text),
            _ => None,
        }
    }

    /// As `text`, keeping the borrow from the resource where there is one.
    pub(super) fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Item::String(text) => Some(text),
            Item::Node(Node { value: Some(Value::String(text)), .. }) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    /// The value as `toString()` gives it; none for an element with children (other than a quantity).
    #[must_use]
    pub fn to_text(&self) -> Option<Cow<'a, str>> {
        super::convert::text(&self.atom())
    }

    /// The place in the resource, if it is one.
    #[must_use]
    pub fn node(&self) -> Option<Node<'a>> {
        match self {
            Item::Node(node) => Some(*node),
            _ => None,
        }
    }

    /// The quantity, of a literal or of a node of type Quantity (or, where the type is unknown, of its shape).
    #[must_use]
    pub fn quantity(&self) -> Option<Quantity<'a>> {
        match self {
            Item::Quantity(quantity) => Some((**quantity).clone()),
            Item::Node(Node { value: Some(Value::Object(map)), ty, .. })
                if matches!(ty.kind, Kind::Quantity | Kind::Unknown) =>
            {
                let text = |name: &str| map.get(name).and_then(Value::as_str);
                let Some(Value::Number(number)) = map.get("value") else { return None };
                // A comparator makes it a range; it equals nothing
                if map.contains_key("comparator") {
                    return None;
                }
                let ucum = text("system") == Some("http://unitsofmeasure.org");
                let unit = if ucum { text("code") } else { text("unit").or_else(|| text("code")) };
                Some(Quantity {
                    value: decimal(number.as_str())?,
                    unit: Cow::Borrowed(unit.unwrap_or("1")),
                    calendar: false,
                })
            }
            _ => None,
        }
    }

    /// The name of the System type of a value that an expression made; none for a node.
    #[must_use]
    pub fn system_type(&self) -> Option<&'static str> {
        Some(match self {
            Item::Node(_) => return None,
            Item::Boolean(_) => "Boolean",
            Item::String(_) => "String",
            Item::Integer(_) => "Integer",
            Item::Decimal(_) => "Decimal",
            Item::Temporal(temporal) => match temporal.kind {
                TemporalKind::Date => "Date",
                TemporalKind::DateTime => "DateTime",
                TemporalKind::Time => "Time",
            },
            Item::Quantity(_) => "Quantity",
            Item::Type(..) => "TypeInfo",
        })
    }
}
