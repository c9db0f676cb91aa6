//! FHIRPath for FHIR R4, over borrowed `Value`s: parse once (`Expression`, `Send + Sync`, cheap to clone), evaluate
//! as often as wanted without copying the resource. What lies outside the data (types, references, value sets,
//! profiles, the time) comes through `Context`. Budgets for depth and steps turn a blow-up into an error.
//! Refuses: I/O, knowledge of packages (see `Model`), values in error messages.
//! Spec: <http://hl7.org/fhirpath/N1/> and <https://hl7.org/fhir/R4/fhirpath.html>.

mod ast;
mod calendar;
mod context;
mod convert;
mod define;
mod equality;
mod error;
mod eval;
mod eval_functions;
mod eval_math;
mod eval_predicates;
mod eval_relations;
mod eval_texts;
mod functions;
mod item;
mod lexer;
mod model;
mod names;
mod navigate;
mod parser;
mod quantity;
mod sets;
mod temporal;
mod types;
mod typing;
mod ucum;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

pub use context::{Budget, Coding, Conformance, Context, Resolved, Resolver, Terminology, Trace, Variables};
pub use error::Error;
pub use item::{Collection, Item, Node, Quantity};
pub use model::{Child, Choice, Inferred, Model};
pub use names::step;
pub use temporal::{Precision, Temporal, TemporalKind};
pub use types::{Kind, Type};

/// A compiled FHIRPath expression. Cloning shares it.
#[derive(Clone)]
pub struct Expression {
    inner: Arc<Compiled>,
}

struct Compiled {
    text: Box<str>,
    tree: ast::Expr,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.inner.text).finish()
    }
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// `Error::Syntax` with the place; `Error::UnknownFunction`; `Error::Depth` for absurd nesting.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Ok(Self { inner: Arc::new(Compiled { tree: parser::parse(text)?, text: text.into() }) })
    }

    /// The source text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// Evaluates on one focus (`$this`, `%context`) to a collection that borrows from the resource and the expression.
    /// A focus of unknown type that has a `resourceType` gets its type.
    ///
    /// # Errors
    /// `Error::Evaluation` where the specification says that an error is signalled, `Error::Steps`/`Depth` when a
    /// budget is used up.
    pub fn evaluate<'a>(&'a self, focus: Node<'a>, context: &Context<'a>) -> Result<Collection<'a>, Error> {
        let mut items = Collection::new();
        let _ = eval::Run::new(context, focus).start(&self.inner.tree, &mut |item| {
            items.push(item);
            eval::GO_ON
        })?;
        Ok(items)
    }

    /// Whether an invariant holds for `focus`, as HL7's validator reads it: empty is false, a single Boolean is its
    /// value, anything else that is not empty is true. Does not allocate for common expressions.
    ///
    /// # Errors
    /// As `evaluate`.
    pub fn holds<'a>(&'a self, focus: Node<'a>, context: &Context<'a>) -> Result<bool, Error> {
        eval::Run::new(context, focus).start_truth(&self.inner.tree)
    }
}

/// Whether a text matches a whole regular expression of FHIR (linear time); `None` if the pattern is none.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> Option<bool> {
    eval_predicates::regex(pattern, true).map(|regex| regex.is_match(text))
}
