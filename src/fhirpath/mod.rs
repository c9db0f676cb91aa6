//! FHIRPath for FHIR R4, over borrowed `Value`s: parse once (`Expression`, `Send + Sync`, cheap to clone), evaluate
//! as often as wanted without copying the resource. What lies outside the data (types, references, value sets,
//! profiles, the time) comes through `Context`. Budgets for depth and steps turn a blow-up into an error.
//! Refuses: I/O, knowledge of packages (see `Model`), values in error messages.
//! Spec: <http://hl7.org/fhirpath/N1/> and <https://hl7.org/fhir/R4/fhirpath.html>.

mod context;
mod error;
mod item;
mod model;
mod types;

pub use context::{Budget, Coding, Conformance, Context, Resolved, Resolver, Terminology, Variables};
pub use error::Error;
pub use item::{Collection, Item, Node};
pub use model::{Child, Choice, Inferred, Model};
pub use types::{Kind, Type};

/// A compiled FHIRPath expression. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Expression {
    text: std::sync::Arc<str>,
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// `Error::Syntax` with the place; `Error::UnknownFunction`; `Error::Depth` for absurd nesting.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Ok(Self { text: text.into() })
    }

    /// The source text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Evaluates on one focus (`$this`, `%context`) to a collection that borrows from the resource and the expression.
    ///
    /// # Errors
    /// `Error::Evaluation` where the specification says that an error is signalled, `Error::Steps`/`Depth` when a
    /// budget is used up.
    pub fn evaluate<'a>(&'a self, focus: Node<'a>, context: &Context<'a>) -> Result<Collection<'a>, Error> {
        let _ = (focus, context);
        Err(Error::Evaluation { what: "evaluation is not available yet".into() })
    }

    /// Whether an invariant holds for `focus`, as HL7's validator reads it: empty is false, a single Boolean is its
    /// value, anything else that is not empty is true. Does not allocate for common expressions.
    ///
    /// # Errors
    /// As `evaluate`.
    pub fn holds<'a>(&'a self, focus: Node<'a>, context: &Context<'a>) -> Result<bool, Error> {
        self.evaluate(focus, context).map(|found| !found.is_empty())
    }
}
