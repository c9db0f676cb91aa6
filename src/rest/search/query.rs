//! A search as asked: filters, and how the result is to be shown (<https://hl7.org/fhir/R4/search.html>). Unknown
//! parameters are ignored or refused, as the client prefers; conditions of writes refuse them always.

use std::{collections::HashSet, sync::Arc};

use super::{
    compare::{Modifier, Test},
    date::{Prefix, Range},
};
use crate::rest::{Error, Parameter, ParameterKind, Serving};

/// One condition; all must hold.
#[derive(Debug)]
pub(in crate::rest) enum Filter {
    /// One of these ids.
    Ids(HashSet<String>),
    /// One of these ranges of `meta.lastUpdated`.
    Updated(Vec<(Prefix, Range)>),
    /// A search parameter; one of the tests.
    Values { parameter: Arc<Parameter>, modifier: Option<Modifier>, tests: Vec<Test> },
    /// A chain, already followed: the parameter refers to one of these `Type/id`.
    RefersTo { parameter: Arc<Parameter>, names: HashSet<String> },
}

/// How `_total` and `_summary` ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shape {
    #[default]
    Full,
    /// Only the total.
    Count,
    /// Without narrative.
    Data,
    /// Id, meta, narrative.
    Text,
}

/// `_include` or `_revinclude`.
#[derive(Clone, Debug)]
pub(super) struct Include {
    pub source: String,
    pub parameter: String,
    pub target: Option<String>,
    pub iterate: bool,
    pub reverse: bool,
}

/// A search, read.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub filters: Vec<Filter>,
    pub sort: Vec<(Sorted, bool)>,
    pub count: Option<usize>,
    pub no_total: bool,
    pub shape: Shape,
    pub elements: Vec<String>,
    pub includes: Vec<Include>,
    /// What was understood, for the `self` link.
    pub used: Vec<(String, String)>,
    pub ignored: Vec<String>,
}

/// What `_sort` names; the flag beside it means descending.
#[derive(Clone, Debug)]
pub(super) enum Sorted {
    Id,
    Updated,
    By(Arc<Parameter>),
}

const CHAIN: usize = 4;

impl Serving<'_> {
    /// Reads a search. `strict` refuses what is unknown, otherwise it is left out and listed.
    pub(super) fn query(self, kind: &str, pairs: &[(String, String)], strict: bool) -> Result<Query, Error> {
        let mut query = Query::default();
        for (key, value) in pairs {
            let known = match key.as_str() {
                "_format" | "_pretty" | "_page" => continue,
                key if key.starts_with('_') => self.result_parameter(kind, key, value, &mut query)?,
                _ => false,
            };
            if known {
                query.used.push((key.clone(), value.clone()));
                continue;
            }
            if value.is_empty() {
                continue;
            }
            match self.filter(kind, key, value, 0)? {
                Some(filter) => {
                    query.filters.push(filter);
                    query.used.push((key.clone(), value.clone()));
                }
                None if strict => {
                    return Err(Error::BadQuery(format!("{kind} has no search parameter {key} here")));
                }
                None => query.ignored.push(key.clone()),
            }
        }
        Ok(query)
    }

    fn result_parameter(self, kind: &str, key: &str, value: &str, query: &mut Query) -> Result<bool, Error> {
        let bad = || Error::BadQuery(format!("{key}: the value cannot be read"));
        match key {
            "_count" => query.count = Some(value.parse().map_err(|_| bad())?),
            "_total" => {
                query.no_total = match value {
                    "none" => true,
                    "accurate" | "estimate" => false,
                    _ => return Err(bad()),
                }
            }
            "_summary" => {
                query.shape = match value {
                    "count" => Shape::Count,
                    "data" => Shape::Data,
                    "text" => Shape::Text,
                    "false" => Shape::Full,
                    _ => return Ok(false),
                }
            }
            "_elements" => query.elements = value.split(',').map(str::to_owned).collect(),
            "_sort" => {
                for part in value.split(',') {
                    let (name, down) = part.strip_prefix('-').map_or((part, false), |name| (name, true));
                    let sorted = match name {
                        "_id" => Sorted::Id,
                        "_lastUpdated" => Sorted::Updated,
                        _ => Sorted::By(self.parameter(kind, name).ok_or_else(|| {
                            Error::BadQuery(format!("_sort: {kind} has no search parameter {name} here"))
                        })?),
                    };
                    query.sort.push((sorted, down));
                }
            }
            _ => {
                let (name, modifier) = key.split_once(':').unwrap_or((key, ""));
                if !["_include", "_revinclude"].contains(&name) {
                    return Ok(false);
                }
                let mut parts = value.split(':').map(str::to_owned);
                let source = parts.next().filter(|source| self.server.model.is_type(source)).ok_or_else(bad)?;
                let parameter = parts.next().ok_or_else(bad)?;
                let iterate = modifier == "iterate" || modifier == "recurse";
                let reverse = name == "_revinclude";
                query.includes.push(Include { source, parameter, target: parts.next(), iterate, reverse });
            }
        }
        Ok(true)
    }

    pub(super) fn parameter(self, kind: &str, name: &str) -> Option<Arc<Parameter>> {
        self.server.model.parameters(kind).iter().find(|parameter| parameter.name == name).cloned()
    }

    /// One condition; `None` if the type has no such parameter.
    fn filter(self, kind: &str, key: &str, value: &str, depth: usize) -> Result<Option<Filter>, Error> {
        if depth > CHAIN {
            return Err(Error::BadQuery("the chain is too long".to_owned()));
        }
        if let Some(rest) = key.strip_prefix("_has:") {
            return self.has(kind, rest, value, depth).map(Some);
        }
        let bad = || Error::BadQuery(format!("{key}: the value cannot be read"));
        match key {
            "_id" => return Ok(Some(Filter::Ids(split(value, ',').into_iter().collect()))),
            "_lastUpdated" => {
                let read = |text: &String| {
                    let (prefix, text) = Prefix::split(text);
                    Range::parse(text).map(|range| (prefix, range)).ok_or_else(bad)
                };
                return Ok(Some(Filter::Updated(split(value, ',').iter().map(read).collect::<Result<_, _>>()?)));
            }
            _ => {}
        }
        if let Some((head, rest)) = key.split_once('.') {
            return self.chain(kind, head, rest, value, depth);
        }
        let (name, modifier) = match key.split_once(':') {
            Some((name, modifier)) => (name, Some(modifier)),
            None => (key, None),
        };
        let Some(parameter) = self.parameter(kind, name) else { return Ok(None) };
        let modifier = modifier.map(|text| self.modifier(&parameter, text)).transpose()?;
        let base = &self.server.base;
        let tests = split(value, ',')
            .iter()
            .map(|text| Test::read(parameter.kind, modifier.as_ref(), text, base).ok_or_else(bad))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Filter::Values { parameter, modifier, tests }))
    }

    fn modifier(self, parameter: &Parameter, text: &str) -> Result<Modifier, Error> {
        use ParameterKind::{Reference, Text, Token, Uri};
        let name = &parameter.name;
        Ok(match (text, parameter.kind) {
            ("missing", _) => Modifier::Missing,
            ("exact", Text) => Modifier::Exact,
            ("contains", Text) => Modifier::Contains,
            ("not", Token | Uri) => Modifier::Not,
            ("text", Token | Reference) => Modifier::Text,
            ("identifier", Reference) => Modifier::Identifier,
            (kind, Reference) if self.server.model.is_type(kind) => Modifier::Type(kind.to_owned()),
            _ => return Err(Error::BadQuery(format!("{name}: the modifier :{text} is not available"))),
        })
    }

    /// `subject:Patient.name=…`: the targets are searched first.
    fn chain(self, kind: &str, head: &str, rest: &str, value: &str, depth: usize) -> Result<Option<Filter>, Error> {
        let (name, target) = head.split_once(':').map_or((head, None), |(name, target)| (name, Some(target)));
        let Some(parameter) = self.parameter(kind, name).filter(|found| found.kind == ParameterKind::Reference) else {
            return Ok(None);
        };
        let targets = target.map_or_else(|| parameter.targets.clone(), |target| vec![target.to_owned()]);
        let (mut names, mut known) = (HashSet::new(), false);
        for target in targets.iter().filter(|target| self.server.model.is_type(target)) {
            // An untyped chain goes to those targets that have such a parameter.
            let Some(filter) = self.filter(target, rest, value, depth + 1)? else { continue };
            known = true;
            names.extend(self.matching(target, &[filter])?.iter().map(|found| found.name()));
        }
        Ok(known.then_some(Filter::RefersTo { parameter, names }))
    }

    /// `_has:Observation:patient:code=…`: resources that are referred to.
    fn has(self, kind: &str, rest: &str, value: &str, depth: usize) -> Result<Filter, Error> {
        let bad = || Error::BadQuery("_has is written _has:Type:reference:parameter".to_owned());
        let mut parts = rest.splitn(3, ':');
        let source = parts.next().filter(|source| self.server.model.is_type(source)).ok_or_else(bad)?;
        let reference = parts.next().and_then(|name| self.parameter(source, name)).ok_or_else(bad)?;
        let filter = self.filter(source, parts.next().ok_or_else(bad)?, value, depth + 1)?.ok_or_else(bad)?;
        let mut ids = HashSet::new();
        for found in self.matching(source, &[filter])? {
            let Some(resource) = &found.resource else { continue };
            ids.extend(
                self.references(&reference, resource).into_iter().filter(|(to, _)| to == kind).map(|(_, id)| id),
            );
        }
        Ok(Filter::Ids(ids))
    }
}

/// Splits at a separator that no backslash escapes, and takes the backslashes off.
fn split(text: &str, separator: char) -> Vec<String> {
    let (mut parts, mut part, mut escaped) = (Vec::new(), String::new(), false);
    for letter in text.chars() {
        if escaped {
            if ![separator, '\\', '$', '|', ','].contains(&letter) {
                part.push('\\');
            }
            part.push(letter);
            escaped = false;
        } else if letter == '\\' {
            escaped = true;
        } else if letter == separator {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(letter);
        }
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    parts
}
