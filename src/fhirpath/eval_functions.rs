//! Functions that give items: filtering, parts and sets of collections, `iif`, `repeat`, `aggregate`, `sort`, `trace`,
//! FHIR's `extension` and `getValue`. Texts and numbers: `eval_texts`, `eval_math`.

use std::cmp::Ordering;

use serde_json::Value;

use super::{
    ast::{Call, Expr, Step},
    convert,
    error::Error,
    eval::{Env, Flow, GO_ON, Run, STOP, Sink, Source},
    functions::Function,
    item::{Collection, Item, Node},
};

impl<'a> Run<'_, 'a> {
    pub(super) fn function(&self, call: &'a Call, source: Source<'_, 'a>, sink: Sink<'_, 'a>) -> Flow {
        use Function as F;
        let arg = call.args.first();
        match call.function {
            F::Where | F::Select => self.indexed(call, source, sink),
            F::Count => sink(Item::Integer(self.count(source)?)),
            F::First => self.part(source, 0, Some(1), sink),
            F::Single => self.source_single(source)?.map_or(GO_ON, sink),
            F::Tail => self.part(source, 1, None, sink),
            F::Skip | F::Take => {
                let Some(count) = self.arg_integer(arg, source)? else {
                    return Err(Error::evaluation("how many items is expected"));
                };
                let count = usize::try_from(count).unwrap_or(0);
                if call.function == F::Skip {
                    self.part(source, count, None, sink)
                } else {
                    self.part(source, 0, Some(count), sink)
                }
            }
            F::Last => {
                let mut last = None;
                let _ = self.source(source, &mut |item| {
                    last = Some(item);
                    GO_ON
                })?;
                last.map_or(GO_ON, sink)
            }
            F::Distinct => self.each(self.distinct(self.source_items(source)?, false)?.0, sink),
            F::Union | F::Combine => {
                let mut items = self.source_items(source)?;
                items.extend(self.arg_items(arg, source)?);
                if call.function == F::Union {
                    items = self.distinct(items, false)?.0;
                }
                self.each(items, sink)
            }
            F::Intersect | F::Exclude => {
                let items = self.source_items(source)?;
                let found = self.found_in(&items, &self.arg_items(arg, source)?)?;
                let keep = call.function == F::Intersect;
                let mut kept: Collection<'a> =
                    items.into_iter().zip(found).filter(|(_, found)| *found == keep).map(|(item, _)| item).collect();
                if keep {
                    kept = self.distinct(kept, false)?.0;
                }
                self.each(kept, sink)
            }
            F::Repeat => self.repeat(source, arg, sink),
            F::Aggregate => self.aggregate(call, source, sink),
            F::Sort => self.sort(call, source, sink),
            F::Iif => self.iif(call, source, sink),
            F::Trace => self.trace(call, source, sink),
            F::Descendants => self.source(source, &mut |item| self.descendants(&item, sink)),
            F::As => match &call.type_name {
                Some(name) => self.as_type(self.source_items(source)?, name, sink),
                None => GO_ON,
            },
            F::Type => self.source(source, &mut |item| sink(self.type_info(&item))),
            F::GetValue => match &*self.source_items(source)? {
                [Item::Node(Node { value: Some(Value::Object(_)) | None, .. })] => GO_ON,
                [item] => sink(item.atom()),
                _ => GO_ON,
            },
            F::Now | F::Today | F::TimeOfDay | F::LowBoundary | F::HighBoundary | F::Precision => {
                self.time_and_bounds(call, source)?.map_or(GO_ON, sink)
            }
            F::CheckModifiers => self.check_modifiers(call, source, sink),
            F::Slice => self.slice(call, source, sink),
            F::ElementDefinition | F::DefineVariable => {
                Err(Error::evaluation(format!("{}() is not available yet", call.function.name())))
            }
            function => match convert::target(function) {
                Some((target, _)) => {
                    let Some(item) = self.source_single(source)? else { return GO_ON };
                    let unit = self.arg_text(arg, source)?;
                    convert::convert(&item, target, unit.as_deref()).map_or(GO_ON, sink)
                }
                None if convert::is_math(function) => self.math(call, source)?.map_or(GO_ON, sink),
                None => self.text_function(call, source, sink),
            },
        }
    }

    /// The items of an argument, which sees the focus around the call.
    pub(super) fn arg_items(&self, arg: Option<&'a Expr>, source: Source<'_, 'a>) -> Result<Collection<'a>, Error> {
        arg.map_or(Ok(Collection::new()), |arg| self.collect(arg, source.env))
    }

    /// The one Integer of an argument.
    pub(super) fn arg_integer(&self, arg: Option<&'a Expr>, source: Source<'_, 'a>) -> Result<Option<i64>, Error> {
        let Some(arg) = arg else { return Ok(None) };
        match self.single(arg, source.env)?.map(|item| item.atom()) {
            None => Ok(None),
            Some(Item::Integer(value)) => Ok(Some(value)),
            Some(_) => Err(Error::evaluation("an Integer is expected")),
        }
    }

    fn count(&self, source: Source<'_, 'a>) -> Result<i64, Error> {
        let mut count = 0;
        let _ = self.source(source, &mut |_| {
            count += 1;
            GO_ON
        })?;
        Ok(count)
    }

    /// `where` and `select` that mention `$index`.
    fn indexed(&self, call: &'a Call, source: Source<'_, 'a>, sink: Sink<'_, 'a>) -> Flow {
        let Some(arg) = call.args.first() else { return GO_ON };
        let mut index = 0;
        self.source(source, &mut |item| {
            let env = source.env.with(&item, index);
            index += 1;
            if call.function == Function::Select {
                return self.visit(arg, env, sink);
            }
            if self.truth(arg, env)? == Some(true) { sink(item) } else { GO_ON }
        })
    }

    /// Skips, then takes.
    fn part(&self, source: Source<'_, 'a>, skip: usize, take: Option<usize>, sink: Sink<'_, 'a>) -> Flow {
        let unordered = |step: Option<&Step>| match step {
            Some(Step::Call(call)) => matches!(call.function, Function::Children | Function::Descendants),
            _ => false,
        };
        if self.context.strict && unordered(source.steps.last()) {
            return Err(Error::evaluation("children() and descendants() have no order to rely upon"));
        }
        let mut at = 0;
        let end = take.map(|take| skip.saturating_add(take));
        let mut stopped = false;
        if end == Some(skip) {
            return GO_ON;
        }
        let _ = self.source(source, &mut |item| {
            at += 1;
            if at > skip && sink(item)?.is_break() {
                stopped = true;
                return STOP;
            }
            if end.is_some_and(|end| at >= end) { STOP } else { GO_ON }
        })?;
        if stopped { STOP } else { GO_ON }
    }

    /// New items until there are none; equal items count once, so that cycles end.
    fn repeat(&self, source: Source<'_, 'a>, arg: Option<&'a Expr>, sink: Sink<'_, 'a>) -> Flow {
        let Some(arg) = arg else { return GO_ON };
        let mut found = Collection::new();
        let mut fresh = self.source_items(source)?;
        loop {
            let mut next = Collection::new();
            for (index, item) in fresh.iter().enumerate() {
                next.extend(self.collect(arg, source.env.with(item, index))?);
            }
            let next = self.distinct(next, false)?.0;
            let seen = self.found_in(&next, &found)?;
            fresh = next.into_iter().zip(seen).filter(|(_, seen)| !seen).map(|(item, _)| item).collect();
            if fresh.is_empty() {
                return self.each(found, sink);
            }
            self.pay(fresh.len() as u64 + found.len() as u64)?;
            found.extend(fresh.iter().cloned());
        }
    }

    fn aggregate(&self, call: &'a Call, source: Source<'_, 'a>, sink: Sink<'_, 'a>) -> Flow {
        let Some(step) = call.args.first() else { return GO_ON };
        let mut total = self.arg_items(call.args.get(1), source)?;
        for (index, item) in self.source_items(source)?.iter().enumerate() {
            let next = self.collect(step, Env { total: Some(&total), ..source.env.with(item, index) })?;
            self.pay(next.len() as u64)?;
            total = next;
        }
        self.each(total, sink)
    }

    /// By keys; a key with a minus before it sorts downwards. Items without a key come first.
    fn sort(&self, call: &'a Call, source: Source<'_, 'a>, sink: Sink<'_, 'a>) -> Flow {
        let items = self.source_items(source)?;
        let mut rows = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let mut keys = Vec::with_capacity(call.args.len());
            for arg in &call.args {
                let (arg, down) = match arg {
                    Expr::Polarity(true, inner) => (&**inner, true),
                    arg => (arg, false),
                };
                keys.push((self.single(arg, source.env.with(&item, index))?, down));
            }
            if call.args.is_empty() {
                keys.push((Some(item.clone()), false));
            }
            rows.push((keys, item));
        }
        let mut failure = None;
        rows.sort_by(|(left, _), (right, _)| {
            for ((left, down), (right, _)) in left.iter().zip(right) {
                let order = match (left, right) {
                    (None, None) => Ordering::Equal,
                    // Without a key first, also downwards
                    (None, Some(_)) => return Ordering::Less,
                    (Some(_), None) => return Ordering::Greater,
                    (Some(left), Some(right)) => match self.order(left, right) {
                        Ok(order) => order.unwrap_or(Ordering::Equal),
                        Err(error) => {
                            failure.get_or_insert(error);
                            Ordering::Equal
                        }
                    },
                };
                if order != Ordering::Equal {
                    return if *down { order.reverse() } else { order };
                }
            }
            Ordering::Equal
        });
        match failure {
            Some(error) => Err(error),
            None => self.each(rows.into_iter().map(|(_, item)| item).collect(), sink),
        }
    }

    fn iif(&self, call: &'a Call, source: Source<'_, 'a>, sink: Sink<'_, 'a>) -> Flow {
        let item = self.source_single(source)?;
        // On nothing, the arms still see the focus around the call
        let env = item.as_ref().map_or(source.env, |item| {
            let index = if source.base.is_none() && source.steps.is_empty() { source.env.index } else { 0 };
            source.env.with(item, index)
        });
        let [condition, arms @ ..] = &*call.args else { return GO_ON };
        if self.context.strict
            && let Some(criterion) = self.single(condition, env)?
            && !matches!(criterion.atom(), Item::Boolean(_))
        {
            return Err(Error::evaluation("the criterion of iif() must be a Boolean"));
        }
        let arm = if self.truth(condition, env)? == Some(true) { arms.first() } else { arms.get(1) };
        arm.map_or(GO_ON, |arm| self.visit(arm, env, sink))
    }

    fn trace(&self, call: &'a Call, source: Source<'_, 'a>, sink: Sink<'_, 'a>) -> Flow {
        let items = self.source_items(source)?;
        if let Some(trace) = self.context.trace {
            let name = self.arg_text(call.args.first(), source)?.unwrap_or_default();
            match call.args.get(1) {
                Some(projection) => {
                    let mut shown = Collection::new();
                    for (index, item) in items.iter().enumerate() {
                        shown.extend(self.collect(projection, source.env.with(item, index))?);
                    }
                    trace(&name, &shown);
                }
                None => trace(&name, &items),
            }
        }
        self.each(items, sink)
    }

    /// The extensions with this `url`; none if the url is empty.
    pub(super) fn extensions(&self, item: &Item<'a>, url: Option<&str>, sink: Sink<'_, 'a>) -> Flow {
        let (Some(url), Item::Node(_)) = (url, item) else { return GO_ON };
        self.member(item, "extension", &mut |extension| {
            let own = match &extension {
                Item::Node(Node { value: Some(value), .. }) => value.get("url").and_then(Value::as_str),
                _ => None,
            };
            if own == Some(url) { sink(extension) } else { GO_ON }
        })
    }
}
