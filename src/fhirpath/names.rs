//! Which names of an expression can never be there: types are followed through the chain as far as they are certain.
//! Anything that is not certain (`resolve()`, variables, resources of any type) is believed. Evaluates nothing.
//! <http://hl7.org/fhirpath/N1/#type-safety-and-strict-evaluation>

use super::{
    Expression,
    ast::{Call, Chain, Expr, Step, TypeName},
    functions::Function,
    model::{Child, Model},
    types::Type,
};

/// What an expression gives: types, or none where that is not certain.
type Types = Option<Vec<Type>>;

/// The types of the child `name`; a choice has several.
fn children(model: &dyn Model, of: Type, name: &str) -> Vec<Type> {
    match model.child(of, name) {
        Child::Element(ty) => vec![ty],
        Child::Choice(choices) => choices.iter().map(|choice| choice.ty).collect(),
        Child::Absent | Child::Unknown => Vec::new(),
    }
}

/// The types of the child `name` of any of these, each once.
pub fn step(model: &dyn Model, from: &[Type], name: &str) -> Vec<Type> {
    let mut found: Vec<Type> = Vec::new();
    for ty in from.iter().flat_map(|ty| children(model, *ty, name)) {
        if !found.contains(&ty) {
            found.push(ty);
        }
    }
    found
}

impl Expression {
    /// The first name that is no element of what it is asked of. `focus` are the types that it may be evaluated on (empty:
    /// not known), `resource` is the type of `%resource`.
    #[must_use]
    pub fn unknown_name(&self, model: &dyn Model, focus: &[Type], resource: Type) -> Option<String> {
        let certain = !focus.is_empty() && focus.iter().all(|ty| is_certain(model, *ty));
        let focus = certain.then(|| focus.to_vec());
        let mut names = Names { model, resource, found: None };
        names.of(&self.inner.tree, &focus, &focus);
        names.found
    }
}

/// Whether all that a type can have is known: not of those that stand for any other.
fn is_certain(model: &dyn Model, ty: Type) -> bool {
    !ty.is_unknown() && !matches!(model.name(ty), "" | "Resource" | "DomainResource" | "Element")
}

struct Names<'m> {
    model: &'m dyn Model,
    resource: Type,
    found: Option<String>,
}

impl Names<'_> {
    /// `this` is `$this`, `outer` the focus of the whole.
    fn of(&mut self, expr: &Expr, this: &Types, outer: &Types) -> Types {
        match expr {
            Expr::This => this.clone(),
            Expr::Variable(name) if &**name == "context" => outer.clone(),
            Expr::Variable(name) if &**name == "resource" => {
                is_certain(self.model, self.resource).then(|| vec![self.resource])
            }
            Expr::Chain(chain) => self.chain(chain, this, outer),
            Expr::Polarity(_, inner) | Expr::Is(inner, _) => {
                self.of(inner, this, outer);
                None
            }
            Expr::As(inner, name) => {
                self.of(inner, this, outer);
                self.named(name)
            }
            Expr::And(arms) | Expr::Or(arms) => {
                arms.iter().for_each(|arm| {
                    self.of(arm, this, outer);
                });
                None
            }
            Expr::Union(arms) => {
                let all: Vec<Types> = arms.iter().map(|arm| self.of(arm, this, outer)).collect();
                let mut all = all.into_iter().collect::<Option<Vec<_>>>()?.concat();
                let mut seen = Vec::new();
                all.retain(|ty| {
                    !seen.contains(ty) && {
                        seen.push(*ty);
                        true
                    }
                });
                Some(all)
            }
            Expr::Binary(_, left, right) => {
                self.of(left, this, outer);
                self.of(right, this, outer);
                None
            }
            _ => None,
        }
    }

    fn named(&self, name: &TypeName) -> Types {
        let ty = self.model.named(&name.name).filter(|ty| is_certain(self.model, *ty));
        ty.map(|ty| vec![ty])
    }

    fn chain(&mut self, chain: &Chain, this: &Types, outer: &Types) -> Types {
        let mut now = match &chain.base {
            Some(base) => self.of(base, this, outer),
            None => this.clone(),
        };
        for (at, step) in chain.steps.iter().enumerate() {
            now = match step {
                Step::Member(name) => self.member(name, now, at == 0 && chain.base.is_none()),
                Step::Item(index) => {
                    self.of(index, this, outer);
                    now
                }
                Step::Call(call) => self.call(call, now, this, outer),
            };
        }
        now
    }

    fn member(&mut self, name: &str, from: Types, first: bool) -> Types {
        let from = from?;
        if from.is_empty() {
            return None;
        }
        if first && name.starts_with(|c: char| c.is_ascii_uppercase()) {
            // A type that the focus is of, or may be of.
            let named = self.model.named(name)?;
            let fits = |ty: &Type| self.model.is_a(*ty, named) || self.model.is_a(named, *ty);
            if from.iter().any(fits) {
                return Some(from);
            }
            self.found.get_or_insert_with(|| name.to_owned());
            return None;
        }
        if from.iter().any(|ty| matches!(self.model.child(*ty, name), Child::Unknown)) {
            return None;
        }
        let found = step(self.model, &from, name);
        if found.is_empty() {
            self.found.get_or_insert_with(|| name.to_owned());
            return None;
        }
        found.iter().all(|ty| is_certain(self.model, *ty)).then_some(found)
    }

    fn call(&mut self, call: &Call, from: Types, this: &Types, outer: &Types) -> Types {
        let per_item = matches!(
            call.function,
            Function::Where
                | Function::Select
                | Function::All
                | Function::Exists
                | Function::Repeat
                | Function::Aggregate
                | Function::Sort
                | Function::Iif
                | Function::Trace
        );
        let inner = if per_item { &from } else { this };
        let args: Vec<Types> = call.args.iter().map(|arg| self.of(arg, inner, outer)).collect();
        match call.function {
            Function::Where
            | Function::First
            | Function::Last
            | Function::Tail
            | Function::Skip
            | Function::Take
            | Function::Single
            | Function::Distinct
            | Function::Trace => from,
            Function::Select => args.into_iter().next().flatten(),
            Function::OfType | Function::As => self.named(call.type_name.as_ref()?),
            Function::Extension => self.model.named("Extension").map(|ty| vec![ty]),
            Function::Union | Function::Combine => {
                let (from, other) = (from?, args.into_iter().next()??);
                Some(from.iter().chain(other.iter().filter(|ty| !from.contains(ty))).copied().collect())
            }
            _ => None,
        }
    }
}
