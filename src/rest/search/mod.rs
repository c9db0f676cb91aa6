//! Search (<https://hl7.org/fhir/R4/search.html>): narrows by the store's index, filters exactly, sorts, pages, and
//! brings included resources. Linear in what the index leaves; a page costs what it shows.

mod compare;
pub mod date;
mod include;
pub(crate) mod keys;
mod pages;
mod query;
mod show;

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

pub(super) use pages::Pages;

use super::{
    Error, Narrow, Parameter, Serving, Version,
    message::{Answer, Request, pairs},
    negotiate,
};
use compare::{Modifier, Test, fold, local, reference_text};
use query::{Filter, Query, Sorted};

impl Serving<'_> {
    pub(super) fn search(self, kind: &str, pairs: &[(String, String)], request: &Request) -> Result<Answer, Error> {
        if let Some((_, token)) = pairs.iter().find(|(key, _)| key == "_page") {
            return self.further_page(token);
        }
        let query = self.query(kind, pairs, negotiate::strict(request))?;
        let mut found = self.matching(kind, &query.filters)?;
        self.sort(&mut found, &query);
        self.first_page(kind, query, &found)
    }

    pub(super) fn search_by_form(self, kind: &str, request: &Request) -> Result<Answer, Error> {
        let content_type = negotiate::content_type(request);
        if !request.body.is_empty() && content_type != "application/x-www-form-urlencoded" {
            let text = "a search by POST takes its parameters as a form (application/x-www-form-urlencoded)";
            return Err(Error::MediaType(text.to_owned()));
        }
        let mut all = request.pairs();
        all.extend(pairs(&request.body));
        self.search(kind, &all, request)
    }

    /// Those that fit the condition of a write; a condition that asks nothing fits nothing safely and is refused.
    pub(super) fn condition(self, kind: &str, pairs: &[(String, String)]) -> Result<Vec<Arc<Version>>, Error> {
        let query = self.query(kind, pairs, true)?;
        if query.filters.is_empty() {
            return Err(Error::BadQuery("the condition asks for nothing".to_owned()));
        }
        self.matching(kind, &query.filters)
    }

    /// Whatever fits all filters, ordered by id.
    fn matching(self, kind: &str, filters: &[Filter]) -> Result<Vec<Arc<Version>>, Error> {
        let mut ids: Option<Vec<&String>> = None;
        for filter in filters {
            if let Filter::Ids(own) = filter
                && ids.as_ref().is_none_or(|ids| ids.len() > own.len())
            {
                ids = Some(own.iter().collect());
            }
        }
        let candidates = if let Some(mut ids) = ids {
            ids.sort_unstable();
            let keys: Vec<String> = ids.iter().map(|id| format!("_id={id}")).collect();
            self.store.candidates(kind, Narrow { any_of: Some(&keys), since: None })?
        } else {
            // Identifiers single out best, then references, then codes.
            let rank = |filter: &&Filter| match filter {
                Filter::Values { parameter, .. } if parameter.name == "identifier" => 0,
                Filter::Values { parameter, .. } if parameter.kind == super::ParameterKind::Reference => 1,
                _ => 2,
            };
            let mut order: Vec<&Filter> = filters.iter().collect();
            order.sort_by_key(rank);
            let lookup = order.into_iter().find_map(keys::lookup);
            self.store.candidates(kind, Narrow { any_of: lookup.as_deref(), since: since(filters) })?
        };
        let fits = |version: &Arc<Version>| filters.iter().all(|filter| self.fits(version, filter));
        Ok(candidates.into_iter().filter(fits).collect())
    }

    fn fits(self, version: &Version, filter: &Filter) -> bool {
        let Some(resource) = &version.resource else { return false };
        let now = self.server.clock.now();
        match filter {
            Filter::Ids(ids) => ids.contains(&version.id),
            Filter::Updated(ranges) => {
                // By the body, so that a stale `lastUpdated` misleads a search as it would in earnest.
                let updated = resource.pointer("/meta/lastUpdated").and_then(date::Range::of);
                updated.is_some_and(|updated| ranges.iter().any(|(prefix, range)| prefix.holds(updated, *range, now)))
            }
            Filter::RefersTo { parameter, names } => self
                .references(parameter, resource)
                .into_iter()
                .any(|(kind, id)| names.contains(&format!("{kind}/{id}"))),
            Filter::Values { parameter, modifier, tests } => {
                let found = self.server.model.values(parameter, resource);
                if let [Test::Missing(missing)] = tests.as_slice() {
                    return found.is_empty() == *missing;
                }
                let base = &self.server.base;
                let one = |element: &Value| tests.iter().any(|test| test.fits(element, base, now));
                match modifier {
                    Some(Modifier::Not) => !found.iter().any(|element| one(element)),
                    Some(Modifier::Identifier) => found.iter().filter_map(|element| element.get("identifier")).any(one),
                    _ => found.iter().any(|element| one(element)),
                }
            }
        }
    }

    /// Type and id of the local resources that a parameter refers to.
    fn references(self, parameter: &Parameter, resource: &Value) -> Vec<(String, String)> {
        let base = &self.server.base;
        let found = self.server.model.values(parameter, resource);
        let local = found.iter().filter_map(|element| local(reference_text(element)?, base));
        local.map(|(kind, id)| (kind.to_owned(), id.to_owned())).collect()
    }

    fn sort(self, found: &mut [Arc<Version>], query: &Query) {
        if query.sort.is_empty() {
            return;
        }
        let mut cached: HashMap<u64, Vec<String>> = HashMap::with_capacity(found.len());
        for version in found.iter() {
            let keys = query.sort.iter().map(|(by, _)| self.sort_key(version, by)).collect();
            cached.insert(version.sequence, keys);
        }
        found.sort_by(|a, b| {
            let (a_keys, b_keys) = (&cached[&a.sequence], &cached[&b.sequence]);
            for ((a_key, b_key), (_, down)) in a_keys.iter().zip(b_keys).zip(&query.sort) {
                // What has no value comes last either way.
                let order = match (a_key.is_empty(), b_key.is_empty()) {
                    (false, false) if *down => b_key.cmp(a_key),
                    (false, false) => a_key.cmp(b_key),
                    (a_empty, b_empty) => a_empty.cmp(&b_empty),
                };
                if order.is_ne() {
                    return order;
                }
            }
            a.id.cmp(&b.id)
        });
    }

    fn sort_key(self, version: &Version, by: &Sorted) -> String {
        let Some(resource) = &version.resource else { return String::new() };
        let parameter = match by {
            Sorted::Id => return version.id.clone(),
            // Ties in milliseconds are broken by the order of the commits.
            Sorted::Updated => {
                let shown = resource.pointer("/meta/lastUpdated").and_then(Value::as_str).unwrap_or_default();
                return format!("{shown} {:020}", version.sequence);
            }
            Sorted::By(parameter) => parameter,
        };
        let found = self.server.model.values(parameter, resource);
        let keys = found.iter().filter_map(|element| match parameter.kind {
            super::ParameterKind::Date => {
                date::Range::of(element).map(|range| format!("{:020}", range.low.as_millisecond() + i64::MAX / 4))
            }
            super::ParameterKind::Token => compare::tokens(element).next().and_then(|(_, code)| code),
            super::ParameterKind::Reference => reference_text(element).map(str::to_owned),
            _ => compare::first_text(element).as_deref().map(fold),
        });
        keys.min().unwrap_or_default()
    }
}

/// Before which instant nothing can match, by the filters on `_lastUpdated`.
fn since(filters: &[Filter]) -> Option<jiff::Timestamp> {
    use date::Prefix::{Eq, Ge, Gt, Sa};
    let bound = |filter: &Filter| match filter {
        Filter::Updated(ranges) => match ranges.as_slice() {
            [(Eq | Ge | Gt | Sa, range)] => Some(range.low),
            _ => None,
        },
        _ => None,
    };
    filters.iter().filter_map(bound).max()
}
