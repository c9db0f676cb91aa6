//! Evaluation. Items are handed on one at a time (`visit`) and Boolean expressions decided without making collections
//! (`truth`), so that an invariant on the hot path allocates nothing and stops at the first answer. A step that needs all
//! items (`count`, `first`, `distinct` …) gathers what stands before it: `Source`.

use std::{borrow::Cow, cell::Cell, ops::ControlFlow};

use super::{
    ast::{Call, Expr, Operator, Step},
    context::Context,
    define::Defined,
    error::Error,
    functions::Function,
    item::{Collection, Item, Node, Quantity},
};

pub(super) type Flow = Result<ControlFlow<()>, Error>;
pub(super) type Sink<'s, 'a> = &'s mut dyn FnMut(Item<'a>) -> Flow;

pub(super) const GO_ON: Flow = Ok(ControlFlow::Continue(()));
pub(super) const STOP: Flow = Ok(ControlFlow::Break(()));

/// One evaluation: the context, and what is left of the budgets.
pub(super) struct Run<'r, 'a> {
    pub context: &'r Context<'a>,
    /// `%context`.
    pub(super) focus: Item<'a>,
    steps: Cell<u64>,
    depth: Cell<usize>,
}

/// `$this`, `$index`, `$total`, and the variables of `defineVariable`.
#[derive(Clone, Copy)]
pub(super) struct Env<'e, 'a> {
    pub this: Option<&'e Item<'a>>,
    pub index: usize,
    pub total: Option<&'e Collection<'a>>,
    pub defined: Option<&'e Defined<'e, 'a>>,
}

impl<'e, 'a> Env<'e, 'a> {
    pub(super) fn with<'n>(self, this: &'n Item<'a>, index: usize) -> Env<'n, 'a>
    where
        'e: 'n,
    {
        Env { this: Some(this), index, ..self }
    }
}

/// What stands before a function: not yet evaluated.
#[derive(Clone, Copy)]
pub(super) struct Source<'e, 'a> {
    pub base: Option<&'a Expr>,
    pub steps: &'a [Step],
    pub env: Env<'e, 'a>,
}

impl<'r, 'a> Run<'r, 'a> {
    pub(super) fn new(context: &'r Context<'a>, focus: Node<'a>) -> Self {
        let mut run =
            Self { context, focus: Item::Boolean(false), steps: Cell::new(context.budget.steps), depth: Cell::new(0) };
        let typed = match focus.value {
            Some(value) if focus.ty.is_unknown() => run.resource_node(value),
            _ => focus,
        };
        run.focus = Item::Node(Node { sibling: focus.sibling, ..typed });
        run
    }

    pub(super) fn start(&self, expr: &'a Expr, sink: Sink<'_, 'a>) -> Flow {
        self.visit(expr, self.outset(), sink)
    }

    /// Where an evaluation starts.
    pub(super) fn outset(&self) -> Env<'_, 'a> {
        Env { this: Some(&self.focus), index: 0, total: None, defined: None }
    }

    /// Pays for one step.
    pub(super) fn step(&self) -> Result<(), Error> {
        self.pay(1)
    }

    /// Pays for work in proportion to `cost`.
    pub(super) fn pay(&self, cost: u64) -> Result<(), Error> {
        match self.steps.get().checked_sub(cost) {
            Some(left) => {
                self.steps.set(left);
                Ok(())
            }
            None => Err(Error::Steps { limit: self.context.budget.steps }),
        }
    }

    fn deeper<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let depth = self.depth.get();
        if depth >= self.context.budget.depth {
            return Err(Error::Depth { limit: self.context.budget.depth });
        }
        self.depth.set(depth + 1);
        let result = work();
        self.depth.set(depth);
        result
    }

    /// Hands each item of the result to the sink, until it says stop.
    pub(super) fn visit(&self, expr: &'a Expr, env: Env<'_, 'a>, sink: Sink<'_, 'a>) -> Flow {
        self.step()?;
        match expr {
            Expr::Text(text) => sink(Item::String(Cow::Borrowed(text))),
            Expr::Integer(value) => sink(Item::Integer(*value)),
            Expr::Decimal(value) => sink(Item::Decimal(*value)),
            Expr::Boolean(value) => sink(Item::Boolean(*value)),
            Expr::Temporal(value) => sink(Item::Temporal(*value)),
            Expr::Quantity(value, unit, calendar) => {
                let quantity = Quantity { value: *value, unit: Cow::Borrowed(unit), calendar: *calendar };
                sink(Item::Quantity(Box::new(quantity)))
            }
            Expr::Empty => GO_ON,
            Expr::This => env.this.map_or(GO_ON, |this| sink(this.clone())),
            Expr::Index => sink(Item::Integer(i64::try_from(env.index).unwrap_or(i64::MAX))),
            Expr::Total => match env.total {
                Some(total) => {
                    self.pay(total.len() as u64)?;
                    self.each(total.clone(), sink)
                }
                None => GO_ON,
            },
            Expr::Variable(name) => self.variable(name, env, sink),
            Expr::Define(define) => self.deeper(|| self.define(define, env, sink)),
            Expr::Defined => env.defined.map_or(GO_ON, |defined| self.each(defined.items.clone(), sink)),
            Expr::Chain(chain) => self.deeper(|| self.chain(chain.base.as_deref(), &chain.steps, env, sink)),
            Expr::Union(arms) => {
                let mut all = Collection::new();
                for arm in arms {
                    let _ = self.deeper(|| self.visit(arm, env, &mut gather(&mut all)))?;
                }
                self.each(self.distinct(all, false)?.0, sink)
            }
            Expr::As(inner, name) => self.deeper(|| {
                let items = self.collect(inner, env)?;
                self.as_type(items, name, sink)
            }),
            Expr::Polarity(minus, inner) => {
                let item = self.deeper(|| self.single(inner, env))?;
                self.polarity(*minus, item)?.map_or(GO_ON, sink)
            }
            Expr::Binary(
                operator @ (Operator::Add
                | Operator::Subtract
                | Operator::Multiply
                | Operator::Divide
                | Operator::Div
                | Operator::Mod
                | Operator::Concatenate),
                left,
                right,
            ) => {
                let (left, right) = self.deeper(|| Ok((self.single(left, env)?, self.single(right, env)?)))?;
                self.arithmetic(*operator, left, right)?.map_or(GO_ON, sink)
            }
            Expr::And(_) | Expr::Or(_) | Expr::Is(..) | Expr::Binary(..) => {
                self.truth(expr, env)?.map_or(GO_ON, |value| sink(Item::Boolean(value)))
            }
        }
    }

    pub(super) fn each(&self, items: Collection<'a>, sink: Sink<'_, 'a>) -> Flow {
        self.pay(items.len() as u64)?;
        for item in items {
            if sink(item)?.is_break() {
                return STOP;
            }
        }
        GO_ON
    }

    pub(super) fn collect(&self, expr: &'a Expr, env: Env<'_, 'a>) -> Result<Collection<'a>, Error> {
        let mut items = Collection::new();
        let _ = self.visit(expr, env, &mut gather(&mut items))?;
        Ok(items)
    }

    /// The only item, or none; several are an error.
    pub(super) fn single(&self, expr: &'a Expr, env: Env<'_, 'a>) -> Result<Option<Item<'a>>, Error> {
        let mut found = None;
        let _ = self.visit(expr, env, &mut only(&mut found))?;
        Ok(found)
    }

    pub(super) fn source_items(&self, source: Source<'_, 'a>) -> Result<Collection<'a>, Error> {
        let mut items = Collection::new();
        let _ = self.source(source, &mut gather(&mut items))?;
        Ok(items)
    }

    pub(super) fn source_single(&self, source: Source<'_, 'a>) -> Result<Option<Item<'a>>, Error> {
        let mut found = None;
        let _ = self.source(source, &mut only(&mut found))?;
        Ok(found)
    }

    /// Evaluates what stands before a function.
    pub(super) fn source(&self, source: Source<'_, 'a>, sink: Sink<'_, 'a>) -> Flow {
        self.deeper(|| self.chain(source.base, source.steps, source.env, sink))
    }

    fn variable(&self, name: &str, env: Env<'_, 'a>, sink: Sink<'_, 'a>) -> Flow {
        let typed = |node: Option<Node<'a>>| match node {
            Some(node) if node.ty.is_unknown() => match node.value {
                Some(value) => Item::Node(self.resource_node(value)),
                None => Item::Node(node),
            },
            Some(node) => Item::Node(node),
            None => self.focus.clone(),
        };
        match name {
            "context" => return sink(self.focus.clone()),
            "resource" => return sink(typed(self.context.resource)),
            "rootResource" => return sink(typed(self.context.root_resource.or(self.context.resource))),
            _ => {}
        }
        if let Some(defined) = env.defined.and_then(|defined| defined.named(name)) {
            return self.each(defined.value.clone(), sink);
        }
        match self.context.variables.and_then(|variables| variables.get(name)) {
            Some(items) => self.each(items.iter().cloned().collect(), sink),
            None => Err(Error::evaluation(format!("there is no variable %{name}"))),
        }
    }

    /// A chain up to its end: the last step that needs all items divides it.
    fn chain(&self, base: Option<&'a Expr>, steps: &'a [Step], env: Env<'_, 'a>, sink: Sink<'_, 'a>) -> Flow {
        let Some(at) = steps.iter().rposition(|step| !step.streams()) else {
            return match base {
                Some(base) if self.context.strict => {
                    self.check_cast(base, steps)?;
                    self.visit(base, env, &mut |item| self.stream(&item, steps, env, sink))
                }
                Some(base) => self.visit(base, env, &mut |item| self.stream(&item, steps, env, sink)),
                None => {
                    let Some(this) = env.this else { return GO_ON };
                    self.stream(this, if self.is_own_name(this, steps) { &steps[1..] } else { steps }, env, sink)
                }
            };
        };
        let source = Source { base, steps: &steps[..at], env };
        let rest = &steps[at + 1..];
        match &steps[at] {
            Step::Call(call) if rest.is_empty() => self.call(call, source, sink),
            Step::Call(call) => self.call(call, source, &mut |item| self.stream(&item, rest, env, sink)),
            Step::Item(index) => {
                let Some(index) = self.single(index, env)? else { return GO_ON };
                let Item::Integer(index) = index.atom() else {
                    return Err(Error::evaluation("an index must be an Integer"));
                };
                let mut left = index;
                let mut found = None;
                if index >= 0 {
                    let _ = self.source(source, &mut |item| {
                        if left == 0 {
                            found = Some(item);
                            return STOP;
                        }
                        left -= 1;
                        GO_ON
                    })?;
                }
                found.map_or(GO_ON, |item| self.stream(&item, rest, env, sink))
            }
            Step::Member(_) => GO_ON,
        }
    }

    /// Whether a chain starts with the type of the focus (`Patient.name`), which then stands for the focus.
    fn is_own_name(&self, this: &Item<'a>, steps: &[Step]) -> bool {
        let (Item::Node(node), Some(Step::Member(name))) = (this, steps.first()) else { return false };
        name.starts_with(|c: char| c.is_ascii_uppercase()) && self.node_is_a(node, name)
    }

    /// Takes one item through steps that do not need to know the others.
    fn stream(&self, item: &Item<'a>, steps: &'a [Step], env: Env<'_, 'a>, sink: Sink<'_, 'a>) -> Flow {
        let Some((step, rest)) = steps.split_first() else { return sink(item.clone()) };
        self.step()?;
        let mut onward = |item: Item<'a>| match rest {
            [] => sink(item),
            rest => self.deeper(|| self.stream(&item, rest, env, sink)),
        };
        let call = match step {
            Step::Member(name) => return self.member(item, name, &mut onward),
            Step::Call(call) => call,
            Step::Item(_) => return GO_ON,
        };
        match (call.function, call.args.first()) {
            (Function::Where, Some(condition)) => {
                if self.truth(condition, env.with(item, 0))? == Some(true) {
                    onward(item.clone())
                } else {
                    GO_ON
                }
            }
            (Function::Select, Some(projection)) => self.visit(projection, env.with(item, 0), &mut onward),
            (Function::Extension, Some(url)) => {
                let url = self.single(url, env)?;
                self.extensions(item, url.as_ref().and_then(Item::text), &mut onward)
            }
            (Function::OfType, _) => match &call.type_name {
                Some(name) if self.is_exactly(item, name)? => onward(item.clone()),
                _ => GO_ON,
            },
            (Function::Children, _) => self.children(item, &mut onward),
            (Function::Resolve, _) => self.resolve(item, &mut onward),
            _ => GO_ON,
        }
    }

    /// A function whose source is not yet evaluated.
    fn call(&self, call: &'a Call, source: Source<'_, 'a>, sink: Sink<'_, 'a>) -> Flow {
        self.step()?;
        match self.predicate(call, source)? {
            Some(answer) => answer.map_or(GO_ON, |answer| sink(Item::Boolean(answer))),
            None => self.function(call, source, sink),
        }
    }

    /// A Boolean expression in three-valued logic. A single item that is not Boolean is true, several are an error.
    pub(super) fn truth(&self, expr: &'a Expr, env: Env<'_, 'a>) -> Result<Option<bool>, Error> {
        self.step()?;
        self.deeper(|| match expr {
            Expr::Boolean(value) => Ok(Some(*value)),
            Expr::And(arms) => self.fold(arms, false, env),
            Expr::Or(arms) => self.fold(arms, true, env),
            Expr::Is(inner, name) => match self.single(inner, env)? {
                Some(item) => self.is_type(&item, name).map(Some),
                None => Ok(None),
            },
            Expr::Binary(operator, left, right) => self.relation(*operator, left, right, expr, env),
            Expr::Chain(chain) => {
                if let Some((Step::Call(call), before)) = chain.steps.split_last() {
                    let source = Source { base: chain.base.as_deref(), steps: before, env };
                    if let Some(answer) = self.predicate(call, source)? {
                        return Ok(answer);
                    }
                }
                self.singleton(expr, env)
            }
            _ => self.singleton(expr, env),
        })
    }

    pub(super) fn singleton(&self, expr: &'a Expr, env: Env<'_, 'a>) -> Result<Option<bool>, Error> {
        Ok(self.single(expr, env)?.map(|item| as_boolean(&item)))
    }

    /// `and` (decided by a false) or `or` (decided by a true).
    fn fold(&self, arms: &'a [Expr], decisive: bool, env: Env<'_, 'a>) -> Result<Option<bool>, Error> {
        let mut result = Some(!decisive);
        for arm in arms {
            match self.truth(arm, env)? {
                Some(value) if value == decisive => return Ok(Some(decisive)),
                Some(_) => {}
                None => result = None,
            }
        }
        Ok(result)
    }
}

/// A single item as a condition.
pub(super) fn as_boolean(item: &Item<'_>) -> bool {
    match item.atom() {
        Item::Boolean(value) => value,
        _ => true,
    }
}

fn gather<'g, 'a>(into: &'g mut Collection<'a>) -> impl FnMut(Item<'a>) -> Flow + 'g {
    |item| {
        into.push(item);
        GO_ON
    }
}

fn only<'g, 'a>(into: &'g mut Option<Item<'a>>) -> impl FnMut(Item<'a>) -> Flow + 'g {
    |item| {
        if into.is_some() {
            return Err(Error::evaluation("several items where one is allowed"));
        }
        *into = Some(item);
        GO_ON
    }
}
