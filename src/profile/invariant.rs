//! Invariants: parsed once. The commonest are native: `ele-1`, `ext-1`, `dom-*`, `ref-1`, `txt-*` belong to the walk and
//! are left out here; a few others have an exact native twin (`native.rs`). Everything else is FHIRPath.

use std::sync::Arc;

use super::{
    native::Native,
    place::Place,
    resolve,
    say::Say,
    walk::{Scope, Walk},
};
use crate::{
    definitions::{Constraint, Structure},
    fhir::outcome::Severity,
    fhirpath::{self, Context, Expression},
};

/// How an invariant is decided.
#[derive(Debug)]
pub struct Test {
    /// By hand, with the same answers as the expression, where that can tell.
    native: Option<Native>,
    /// By the engine.
    path: Expression,
}

/// One invariant, ready.
#[derive(Debug)]
pub struct Invariant {
    /// What the definition says.
    pub constraint: Arc<Constraint>,
    /// How it is decided.
    pub test: Test,
    /// Members of the focus that it looks at; none: all of it.
    about: Vec<String>,
}

/// Invariants that the walk decides itself.
const BY_THE_WALK: &[&str] =
    &["ele-1", "ext-1", "dom-2", "dom-3", "dom-4", "dom-5", "dom-6", "ref-1", "txt-1", "txt-2"];

impl Invariant {
    /// Parses; `plain` as for [`Native::of`]. None for those that the walk decides and those without an expression.
    ///
    /// # Errors
    /// A sentence on what cannot be evaluated.
    pub fn compile(constraint: &Arc<Constraint>, plain: &dyn Fn(&str) -> bool) -> Result<Option<Self>, String> {
        let Some(expression) = &constraint.expression else { return Ok(None) };
        if BY_THE_WALK.contains(&constraint.key.as_str()) && Self::is_base(constraint) {
            return Ok(None);
        }
        let path = Expression::parse(expression)
            .map_err(|error| format!("the invariant {} cannot be evaluated: {error}", constraint.key))?;
        let test = Test { native: Native::of(expression, plain), path };
        let about = names(expression);
        Ok(Some(Self { constraint: Arc::clone(constraint), test, about }))
    }

    /// Whether FHIR itself states it, so that its key means what we think.
    fn is_base(constraint: &Constraint) -> bool {
        constraint.source.as_deref().is_none_or(|source| {
            let name = source.rsplit('/').next().unwrap_or(source);
            !source.contains("//")
                || (source.starts_with("http://hl7.org/fhir/StructureDefinition/") && !name.contains('-'))
        })
    }
}

impl<'a> Walk<'a> {
    /// Evaluates invariants on `focus`.
    pub fn invariants(
        &mut self,
        structure: &Structure,
        invariants: &[Invariant],
        focus: fhirpath::Node<'a>,
        place: &Place<'_>,
        scope: &Scope<'a>,
    ) {
        for invariant in invariants {
            let by_hand =
                invariant.test.native.as_ref().zip(focus.value()).and_then(|(native, value)| native.holds(value));
            let held = match by_hand {
                Some(held) => Ok(held),
                None => {
                    let profile = structure.url.as_str();
                    let look = |path: &Expression, focus: fhirpath::Node<'_>, context: &Context<'_>| {
                        path.holds(focus, context)
                    };
                    self.with_context(scope, &invariant.test.path, focus, profile, look)
                }
            };
            match held {
                Ok(true) => {}
                Ok(false) => self.breach(structure, invariant, place),
                Err(error) => {
                    let key = &invariant.constraint.key;
                    let text = format!("the rule {key} could not be evaluated: {error}");
                    let say = Say { rule: key.clone().into(), ..Say::warning("exception", "", text) };
                    self.raise(place, Some(structure), say);
                }
            }
        }
    }

    /// Evaluates an expression as an invariant.
    pub fn holds<'x>(
        &'x self,
        expression: &'x Expression,
        focus: fhirpath::Node<'x>,
        scope: &Scope<'x>,
    ) -> Result<bool, fhirpath::Error> {
        self.with_context(scope, expression, focus, "", |expression, focus, context| expression.holds(focus, context))
    }

    /// Evaluates an expression and looks at what it gives.
    pub fn evaluate<'x, T>(
        &'x self,
        expression: &'x Expression,
        focus: fhirpath::Node<'x>,
        scope: &Scope<'x>,
        look: impl FnOnce(&[fhirpath::Item<'_>]) -> T,
    ) -> Result<T, fhirpath::Error> {
        self.with_context(scope, expression, focus, "", |expression, focus, context| {
            expression.evaluate(focus, context).map(|items| look(&items))
        })
    }

    fn with_context<'x, T>(
        &'x self,
        scope: &Scope<'x>,
        expression: &'x Expression,
        focus: fhirpath::Node<'x>,
        profile: &'x str,
        with: impl for<'c> FnOnce(&'c Expression, fhirpath::Node<'c>, &Context<'c>) -> T,
    ) -> T {
        let resolver = resolve::Bundled { index: &self.index, types: self.types, entry: scope.entry };
        let terminology = resolve::Terms { definitions: &self.types.definitions };
        let conformance = resolve::Profiles { validator: self.validator, options: self.options };
        // `slice(%profile, 'name')`
        let variables = expression
            .text()
            .contains("%profile")
            .then(|| fhirpath::Variables::from([("profile".to_owned(), vec![fhirpath::Item::String(profile.into())])]));
        let mut context = Context::new(self.types, Some(scope.resource));
        context.variables = variables.as_ref();
        context.now = self.options.now;
        context.root_resource = Some(scope.root);
        context.resolver = Some(&resolver);
        context.terminology = Some(&terminology);
        context.conformance = Some(&conformance);
        with(expression, focus, &context)
    }

    fn breach(&mut self, structure: &Structure, invariant: &Invariant, place: &Place<'_>) {
        let constraint = &invariant.constraint;
        let severity = match (constraint.is_error, constraint.best_practice) {
            (true, _) => Severity::Error,
            (false, false) => Severity::Warning,
            (false, true) => match self.options.best_practice.severity() {
                Some(severity) => severity,
                None => return,
            },
        };
        let text = format!("{} ({})", constraint.human.trim_end_matches('.'), constraint.key);
        self.raise(
            place,
            Some(structure),
            Say {
                severity,
                code: "invariant",
                rule: constraint.key.clone().into(),
                text,
                about: invariant.about.clone(),
            },
        );
    }
}

/// Words of FHIRPath that are no elements.
const WORDS: &[&str] =
    &["and", "or", "xor", "implies", "in", "contains", "is", "as", "div", "mod", "true", "false", "day"];

/// The members of the focus that an expression names, and those of `%resource`; none where it may look at anything. Names
/// within `where(…)` and the like count too: rather one too many.
fn names(expression: &str) -> Vec<String> {
    if ["$this", "children(", "descendants("].iter().any(|all| expression.contains(all)) {
        return Vec::new();
    }
    let mut found: Vec<String> = Vec::new();
    let bytes = expression.as_bytes();
    let letter = |at: usize| bytes.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let mut at = 0;
    while at < bytes.len() {
        if matches!(bytes[at], b'\'' | b'"') {
            let (quote, from) = (bytes[at], at);
            at += 1;
            while at < bytes.len() && bytes[at] != quote {
                at += if bytes[at] == b'\\' { 2 } else { 1 };
            }
            debug_assert!(at > from);
        } else if letter(at) {
            let from = at;
            while letter(at) {
                at += 1;
            }
            let word = &expression[from..at];
            let before = expression[..from].trim_end();
            let below = before.ends_with('.') && !before.ends_with("%resource.") && !before.ends_with("%context.");
            let call = expression[at..].trim_start().starts_with('(');
            let number = word.starts_with(|first: char| first.is_ascii_digit());
            let named = !below && !call && !number && !before.ends_with(['%', '$', '@']) && !WORDS.contains(&word);
            if named && !found.iter().any(|known| known == word) {
                found.push(word.to_owned());
            }
            continue;
        }
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn what_an_expression_looks_at() {
        let cases: [(&str, &[&str]); 6] = [
            (
                "(start.exists() and end.exists()) or (status in ('proposed' | 'cancelled' | 'waitlist'))",
                &["start", "end", "status"],
            ),
            ("contact.all(name.exists() or telecom.exists())", &["contact", "name", "telecom"]),
            ("value.empty() or code = %resource.kind.coding and 'a\\'b.c'.length() > 3", &["value", "code", "kind"]),
            ("hasValue() or (children().count() > id.count())", &[]),
            ("start.hasValue().not() or end.hasValue().not() or (start <= end)", &["start", "end"]),
            ("`x` is Quantity", &["x", "Quantity"]),
        ];
        for (expression, wanted) in cases {
            assert_eq!(names(expression), wanted, "{expression}");
        }
    }
}
