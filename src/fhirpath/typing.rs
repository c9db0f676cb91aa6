//! `is`, `as`, `ofType`, `type()`: FHIR's types through the model, System's types by the item.
//! Spec: <http://hl7.org/fhirpath/N1/#types>; HL7's own suite decides that `as` and `ofType` take primitives of exactly
//! the named type (a `code` is a `string`, yet `as(string)` leaves it out).

use std::borrow::Cow;

use serde_json::Value;

use super::{
    ast::{Expr, Step, TypeName},
    error::Error,
    eval::{Flow, GO_ON, Run, STOP, Sink},
    item::{Collection, Item, Node},
    model::Child,
    types::{Kind, Type},
};

const SYSTEM: [&str; 9] = ["Any", "Boolean", "Date", "DateTime", "Decimal", "Integer", "Quantity", "String", "Time"];

impl<'a> Run<'_, 'a> {
    /// The FHIR name of a node's type; guessed from the JSON where the model does not know.
    pub(super) fn type_of(&self, node: &Node<'a>) -> Cow<'a, str> {
        let model: &'a dyn super::Model = self.context.model;
        if !node.ty.is_unknown() {
            return Cow::Borrowed(model.name(node.ty));
        }
        Cow::Borrowed(match node.value {
            Some(Value::Bool(_)) => "boolean",
            Some(Value::Number(number)) if number.as_str().parse::<i64>().is_ok() => "integer",
            Some(Value::Number(_)) => "decimal",
            Some(Value::String(_)) => "string",
            Some(value) => value.get("resourceType").and_then(Value::as_str).unwrap_or("Element"),
            None => "Element",
        })
    }

    /// Whether a node is of the FHIR type `name` or one that derives from it.
    pub(super) fn node_is_a(&self, node: &Node<'a>, name: &str) -> bool {
        let wanted = self.context.model.named(name);
        if let (Some(wanted), false) = (wanted, node.ty.is_unknown()) {
            return self.context.model.is_a(node.ty, wanted);
        }
        if node.ty.is_unknown() {
            return self.shape_is(node, name, wanted);
        }
        false
    }

    /// Without a type: what the JSON cannot be is not, what it says of itself is.
    fn shape_is(&self, node: &Node<'a>, name: &str, wanted: Option<Type>) -> bool {
        match node.value {
            Some(Value::String(_)) => {
                wanted.is_some_and(|ty| matches!(ty.kind, Kind::String | Kind::Date | Kind::DateTime | Kind::Time))
            }
            Some(Value::Number(number)) => wanted.is_some_and(|ty| match ty.kind {
                Kind::Decimal => true,
                Kind::Integer => number.as_str().parse::<i64>().is_ok(),
                _ => false,
            }),
            Some(Value::Bool(_)) => wanted.is_some_and(|ty| ty.kind == Kind::Boolean),
            Some(value) => match value.get("resourceType").and_then(Value::as_str) {
                Some(own) => own == name || matches!(name, "Resource" | "DomainResource"),
                None => wanted.is_some_and(|ty| matches!(ty.kind, Kind::Complex | Kind::Quantity)),
            },
            None => false,
        }
    }

    fn check_known(&self, name: &TypeName) -> Result<(), Error> {
        let system = name.namespace.as_deref() != Some("FHIR") && SYSTEM.contains(&&*name.name);
        let fhir = name.namespace.as_deref() != Some("System") && self.context.model.named(&name.name).is_some();
        if self.context.strict && !system && !fhir && name.namespace.is_none() {
            return Err(Error::evaluation(format!("there is no type '{}'", name.name)));
        }
        Ok(())
    }

    /// `is`.
    pub(super) fn is_type(&self, item: &Item<'a>, name: &TypeName) -> Result<bool, Error> {
        self.check_known(name)?;
        let namespace = name.namespace.as_deref();
        Ok(match item {
            Item::Node(node) => namespace != Some("System") && self.node_is_a(node, &name.name),
            other => namespace != Some("FHIR") && other.system_type() == Some(&*name.name),
        })
    }

    /// `as` and `ofType`: as `is`, but primitives only of exactly the type.
    pub(super) fn is_exactly(&self, item: &Item<'a>, name: &TypeName) -> Result<bool, Error> {
        if !self.is_type(item, name)? {
            return Ok(false);
        }
        Ok(match item {
            Item::Node(node) if node.ty.kind.is_primitive() => {
                self.context.model.named(&name.name).is_some_and(|wanted| wanted.id == node.ty.id)
            }
            _ => true,
        })
    }

    /// `as` of a collection. The specification allows one item, yet R4's own definitions use it on several
    /// (`descendants().as(uri)`): only a strict context refuses.
    pub(super) fn as_type(&self, items: Collection<'a>, name: &TypeName, sink: Sink<'_, 'a>) -> Flow {
        self.check_known(name)?;
        if items.len() > 1 && self.context.strict {
            return Err(Error::evaluation("'as' takes one item"));
        }
        for item in items {
            if self.is_exactly(&item, name)? && sink(item)?.is_break() {
                return STOP;
            }
        }
        GO_ON
    }

    /// Strict: `(x as T).name` where T has no such element.
    pub(super) fn check_cast(&self, base: &Expr, steps: &[Step]) -> Result<(), Error> {
        if let (Expr::As(_, type_name), Some(Step::Member(name))) = (base, steps.first())
            && let Some(ty) = self.context.model.named(&type_name.name)
            && matches!(self.context.model.child(ty, name), Child::Absent)
        {
            return Err(Error::evaluation(format!("{} has no element '{name}'", type_name.name)));
        }
        Ok(())
    }

    /// `type()`.
    pub(super) fn type_info(&self, item: &Item<'a>) -> Item<'a> {
        match item {
            Item::Node(node) => Item::Type("FHIR", self.type_of(node)),
            other => Item::Type("System", Cow::Borrowed(other.system_type().unwrap_or("Any"))),
        }
    }
}
