//! Items and collections. A `Node` borrows a place of the resource; everything else is a value that an expression made.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde_json::Value;
use smallvec::SmallVec;

use super::types::Type;

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
}

/// A collection; one item needs no allocation.
pub type Collection<'a> = SmallVec<[Item<'a>; 1]>;
