//! Functions whose answer is a Boolean (or nothing): decided without making collections, stopping as early as may be.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::{
    ast::{Call, Expr},
    context::Coding,
    convert,
    error::Error,
    eval::{GO_ON, Run, STOP, Source, as_boolean},
    functions::Function,
    item::{Item, Node},
};

/// Compiles a pattern as `matches()` reads it: `.` also matches line ends.
pub(super) fn regex(pattern: &str, full: bool) -> Option<Regex> {
    let anchored = if full { Cow::Owned(format!("^(?:{pattern})$")) } else { Cow::Borrowed(pattern) };
    RegexBuilder::new(&anchored).dot_matches_new_line(true).size_limit(1 << 20).build().ok()
}

type Answer = Result<Option<bool>, Error>;

impl<'a> Run<'_, 'a> {
    /// The answer of a predicate; the outer `None` if the function is not one.
    pub(super) fn predicate(&self, call: &'a Call, source: Source<'_, 'a>) -> Result<Option<Option<bool>>, Error> {
        use Function as F;
        let arg = call.args.first();
        let answer = match call.function {
            F::Exists => Some(self.any(source, arg)?),
            F::Empty => Some(!self.any(source, None)?),
            F::Not => self.source_single(source)?.map(|item| !as_boolean(&item)),
            F::All => match arg {
                Some(condition) => Some(self.all(source, condition)?),
                None => None,
            },
            F::AllTrue => Some(!self.any_boolean(source, false)?),
            F::AllFalse => Some(!self.any_boolean(source, true)?),
            F::AnyTrue => Some(self.any_boolean(source, true)?),
            F::AnyFalse => Some(self.any_boolean(source, false)?),
            F::IsDistinct => Some(!self.distinct(self.source_items(source)?, true)?.1),
            F::SubsetOf | F::SupersetOf => {
                let (mut small, mut great) = (self.source_items(source)?, self.arg_items(arg, source)?);
                if call.function == F::SupersetOf {
                    (small, great) = (great, small);
                }
                Some(self.found_in(&small, &great)?.into_iter().all(|found| found))
            }
            F::Is => match (self.source_single(source)?, &call.type_name) {
                (Some(item), Some(name)) => Some(self.is_type(&item, name)?),
                _ => None,
            },
            F::StartsWith | F::EndsWith | F::Contains => self.text_test(call, source)?,
            F::Matches | F::MatchesFull => self.matches(call, source)?,
            F::HasValue => Some(self.has_value(source)?),
            F::HasExtension => Some(self.has_extension(source, arg)?),
            F::MemberOf | F::Subsumes | F::SubsumedBy => self.terminology(call, source)?,
            F::ConformsTo => self.conforms_to(source, arg)?,
            F::HtmlChecks => self.html_checks(source)?,
            F::Comparable => self.comparable(source, arg)?,
            other => match convert::target(other) {
                Some((target, true)) => self.source_single(source)?.map(|item| {
                    let unit = None;
                    convert::convert(&item, target, unit).is_some()
                }),
                _ => return Ok(None),
            },
        };
        Ok(Some(answer))
    }

    fn any(&self, source: Source<'_, 'a>, condition: Option<&'a Expr>) -> Result<bool, Error> {
        let mut found = false;
        let mut index = 0;
        let _ = self.source(source, &mut |item| {
            found = match condition {
                Some(condition) => self.truth(condition, source.env.with(&item, index))? == Some(true),
                None => true,
            };
            index += 1;
            if found { STOP } else { GO_ON }
        })?;
        Ok(found)
    }

    fn all(&self, source: Source<'_, 'a>, condition: &'a Expr) -> Result<bool, Error> {
        let mut all = true;
        let mut index = 0;
        let _ = self.source(source, &mut |item| {
            all = self.truth(condition, source.env.with(&item, index))? == Some(true);
            index += 1;
            if all { GO_ON } else { STOP }
        })?;
        Ok(all)
    }

    fn any_boolean(&self, source: Source<'_, 'a>, wanted: bool) -> Result<bool, Error> {
        let mut found = false;
        let _ = self.source(source, &mut |item| match item.atom() {
            Item::Boolean(value) if value == wanted => {
                found = true;
                STOP
            }
            Item::Boolean(_) => GO_ON,
            _ => Err(Error::evaluation("only Booleans are allowed here")),
        })?;
        Ok(found)
    }

    /// The one text of the source.
    pub(super) fn source_text(&self, source: Source<'_, 'a>) -> Result<Option<Cow<'a, str>>, Error> {
        match self.source_single(source)? {
            None => Ok(None),
            Some(item) => self.to_text(item).map(Some),
        }
    }

    fn to_text(&self, item: Item<'a>) -> Result<Cow<'a, str>, Error> {
        item.into_text().ok_or_else(|| Error::evaluation("a String is expected"))
    }

    /// The one text of an argument.
    pub(super) fn arg_text(
        &self,
        arg: Option<&'a Expr>,
        source: Source<'_, 'a>,
    ) -> Result<Option<Cow<'a, str>>, Error> {
        let Some(arg) = arg else { return Ok(None) };
        match self.single(arg, source.env)? {
            None => Ok(None),
            Some(item) => self.to_text(item).map(Some),
        }
    }

    fn text_test(&self, call: &'a Call, source: Source<'_, 'a>) -> Answer {
        let Some(text) = self.source_text(source)? else { return Ok(None) };
        let Some(part) = self.arg_text(call.args.first(), source)? else { return Ok(None) };
        Ok(Some(match call.function {
            Function::StartsWith => text.starts_with(&*part),
            Function::EndsWith => text.ends_with(&*part),
            _ => text.contains(&*part),
        }))
    }

    fn matches(&self, call: &'a Call, source: Source<'_, 'a>) -> Answer {
        let Some(text) = self.source_text(source)? else { return Ok(None) };
        self.pay(text.len() as u64 / 16)?;
        self.with_regex(call, source, |regex| regex.is_match(&text))
    }

    /// Runs with the pattern of the first argument, compiled once where it is a literal.
    pub(super) fn with_regex<T>(
        &self,
        call: &'a Call,
        source: Source<'_, 'a>,
        run: impl FnOnce(&Regex) -> T,
    ) -> Result<Option<T>, Error> {
        let full = call.function == Function::MatchesFull;
        let wrong = || Error::evaluation("the pattern is not a regular expression that can be matched in linear time");
        if let Some(Expr::Text(pattern)) = call.args.first() {
            let compiled = call.regex.get_or_init(|| regex(pattern, full));
            return compiled.as_ref().ok_or_else(wrong).map(|regex| Some(run(regex)));
        }
        let Some(pattern) = self.arg_text(call.args.first(), source)? else { return Ok(None) };
        self.pay(1000)?;
        regex(&pattern, full).as_ref().ok_or_else(wrong).map(|regex| Some(run(regex)))
    }

    fn has_value(&self, source: Source<'_, 'a>) -> Result<bool, Error> {
        let (mut count, mut valued) = (0, false);
        let _ = self.source(source, &mut |item| {
            count += 1;
            valued = match item {
                Item::Node(node) => node.value.is_some_and(|value| !value.is_object() && !value.is_array()),
                _ => true,
            };
            if count > 1 { STOP } else { GO_ON }
        })?;
        Ok(count == 1 && valued)
    }

    fn has_extension(&self, source: Source<'_, 'a>, url: Option<&'a Expr>) -> Result<bool, Error> {
        let Some(url) = self.arg_text(url, source)? else { return Ok(false) };
        let mut found = false;
        let _ = self.source(source, &mut |item| {
            self.extensions(&item, Some(&url), &mut |_| {
                found = true;
                STOP
            })
        })?;
        Ok(found)
    }

    fn terminology(&self, call: &'a Call, source: Source<'_, 'a>) -> Answer {
        let Some(item) = self.source_single(source)? else { return Ok(None) };
        // As R4 has it ("an error is thrown"), so that an invariant is neither held nor broken by what nobody knows
        let undecided = || Error::evaluation("whether the code belongs cannot be decided here");
        let Some(terminology) = self.context.terminology else { return Err(undecided()) };
        if call.function == Function::MemberOf {
            let Some(value_set) = self.arg_text(call.args.first(), source)? else { return Ok(None) };
            let answer = self.any_coding(&item, &mut |coding| terminology.member_of(&value_set, coding))?;
            return answer.ok_or_else(undecided).map(Some);
        }
        let Some(arg) = call.args.first() else { return Ok(None) };
        let Some(other) = self.single(arg, source.env)? else { return Ok(None) };
        let answer = self.any_coding(&item, &mut |own| {
            self.any_coding(&other, &mut |other| match call.function {
                Function::Subsumes => terminology.subsumes(own, other),
                _ => terminology.subsumes(other, own),
            })
            .ok()
            .flatten()
        })?;
        answer.ok_or_else(undecided).map(Some)
    }

    /// Asks about each coding of a code, Coding or CodeableConcept: true if any is, nothing if any is undecided.
    fn any_coding(&self, item: &Item<'a>, ask: &mut dyn FnMut(Coding<'_>) -> Option<bool>) -> Answer {
        fn of<'v>(value: &'v Value) -> Option<Coding<'v>> {
            let text = |name: &str| value.get(name).and_then(Value::as_str);
            Some(Coding { system: text("system"), version: text("version"), code: text("code")? })
        }
        if let Some(code) = item.text() {
            return Ok(ask(Coding { system: None, version: None, code }));
        }
        let Item::Node(Node { value: Some(value @ Value::Object(map)), .. }) = item else {
            return Err(Error::evaluation("a code, Coding or CodeableConcept is expected"));
        };
        let Some(codings) = map.get("coding") else { return Ok(of(value).and_then(ask)) };
        let mut answer = Some(false);
        for coding in codings.as_array().map(Vec::as_slice).unwrap_or_default() {
            self.step()?;
            match of(coding).map_or(Some(false), &mut *ask) {
                Some(true) => return Ok(Some(true)),
                Some(false) => {}
                None => answer = None,
            }
        }
        Ok(answer)
    }

    fn conforms_to(&self, source: Source<'_, 'a>, profile: Option<&'a Expr>) -> Answer {
        let Some(item) = self.source_single(source)? else { return Ok(None) };
        let Some(profile) = self.arg_text(profile, source)? else { return Ok(None) };
        let Item::Node(node) = item else { return Err(Error::evaluation("conformsTo() takes an element")) };
        self.context
            .conformance
            .and_then(|conformance| conformance.conforms_to(node, &profile))
            .map(Some)
            .ok_or_else(|| Error::evaluation(format!("the profile '{profile}' is not at hand")))
    }

    fn html_checks(&self, source: Source<'_, 'a>) -> Answer {
        let Some(text) = self.source_text(source)? else { return Ok(None) };
        self.pay(text.len() as u64 / 64)?;
        self.context
            .conformance
            .and_then(|conformance| conformance.html(&text))
            .map(Some)
            .ok_or_else(|| Error::evaluation("htmlChecks() needs a checker of narratives, and none is at hand"))
    }

    fn comparable(&self, source: Source<'_, 'a>, other: Option<&'a Expr>) -> Answer {
        let (Some(left), Some(other)) = (self.source_single(source)?, other) else { return Ok(None) };
        let Some(right) = self.single(other, source.env)? else { return Ok(None) };
        match (left.quantity(), right.quantity()) {
            (Some(left), Some(right)) => Ok(Some(left.is_comparable(&right))),
            _ => Ok(Some(false)),
        }
    }
}
