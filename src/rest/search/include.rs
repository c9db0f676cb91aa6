//! `_include` and `_revinclude` (<https://hl7.org/fhir/R4/search.html#include>), each resource once; `:iterate` is
//! followed for a bounded number of rounds.

use std::{collections::HashSet, sync::Arc};

use super::query::Include;
use crate::rest::{Error, Narrow, ParameterKind, Serving, Version};

const ROUNDS: usize = 8;
const MOST: usize = 10_000;

impl Serving<'_> {
    pub(super) fn included(self, shown: &[Arc<Version>], includes: &[Include]) -> Result<Vec<Arc<Version>>, Error> {
        let mut seen: HashSet<String> = shown.iter().map(|version| version.name()).collect();
        let mut all: Vec<Arc<Version>> = Vec::new();
        let mut fresh: Vec<Arc<Version>> = shown.to_vec();
        for round in 0..ROUNDS {
            let mut next = Vec::new();
            for include in includes.iter().filter(|include| round == 0 || include.iterate) {
                let found =
                    if include.reverse { self.referring(include, &fresh)? } else { self.referred(include, &fresh)? };
                next.extend(found.into_iter().filter(|version| seen.insert(version.name())));
            }
            if next.is_empty() || all.len() > MOST {
                break;
            }
            all.extend(next.iter().cloned());
            fresh = next;
        }
        Ok(all)
    }

    fn referred(self, include: &Include, from: &[Arc<Version>]) -> Result<Vec<Arc<Version>>, Error> {
        let mut found = Vec::new();
        for parameter in self.include_parameters(include) {
            for version in from.iter().filter(|version| version.kind == include.source) {
                let Some(resource) = &version.resource else { continue };
                for (kind, id) in self.references(&parameter, resource) {
                    if include.target.as_ref().is_none_or(|target| *target == kind) {
                        found.extend(self.store.read(&kind, &id)?.filter(|version| version.resource.is_some()));
                    }
                }
            }
        }
        Ok(found)
    }

    fn referring(self, include: &Include, to: &[Arc<Version>]) -> Result<Vec<Arc<Version>>, Error> {
        let names: HashSet<(&str, &str)> = to
            .iter()
            .filter(|version| include.target.as_ref().is_none_or(|target| *target == version.kind))
            .map(|version| (version.kind.as_str(), version.id.as_str()))
            .collect();
        let mut found = Vec::new();
        for parameter in self.include_parameters(include) {
            let keys: Vec<String> = names.iter().map(|(_, id)| format!("{}={id}", parameter.name)).collect();
            for version in self.store.candidates(&include.source, Narrow { any_of: Some(&keys), since: None })? {
                let Some(resource) = &version.resource else { continue };
                let refers = self
                    .references(&parameter, resource)
                    .iter()
                    .any(|(kind, id)| names.contains(&(kind.as_str(), id.as_str())));
                if refers {
                    found.push(version);
                }
            }
        }
        Ok(found)
    }

    fn include_parameters(self, include: &Include) -> Vec<Arc<crate::rest::Parameter>> {
        let all = self.server.model.parameters(&include.source);
        let wanted = |name: &str| include.parameter == "*" || include.parameter == name;
        let references = all.iter().filter(|parameter| parameter.kind == ParameterKind::Reference);
        references.filter(|parameter| wanted(&parameter.name)).cloned().collect()
    }
}
