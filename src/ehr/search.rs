//! Paging through a searchset or history (<https://hl7.org/fhir/R4/http.html#paging>): links are opaque and must stay
//! at the EHR's origin, the same version may come on two pages, totals may be absent, a page may carry an error.

use std::collections::HashSet;

use bytes::Bytes;
use reqwest::Url;
use serde_json::Value;

use super::{
    answer::version_id,
    client::Client,
    failure::{Failure, Kind},
    outcome,
    page::Listed,
};
use crate::fhir;

/// More pages than this are taken for a loop that changes its address each time.
const MAX_PAGES: usize = 100_000;
/// So often a list that expired on the way is begun anew.
const RESTARTS: usize = 3;

/// One page's yield.
#[derive(Debug, Default)]
pub struct Page {
    /// Resources that earlier pages did not show, also such without type or id.
    pub resources: Vec<Value>,
    /// Entries that cannot be read.
    pub unreadable: Vec<Bytes>,
}

/// A search in progress.
#[derive(Debug)]
pub struct Search<'a> {
    client: &'a Client,
    first: Url,
    restarts: usize,
    next: Option<Url>,
    visited: HashSet<String>,
    seen: HashSet<(String, String, Option<String>)>,
}

impl<'a> Search<'a> {
    pub(super) fn new(client: &'a Client, first: Url) -> Self {
        let next = Some(first.clone());
        Self { client, first, restarts: 0, next, visited: HashSet::new(), seen: HashSet::new() }
    }

    /// The next page without the resources of earlier pages (same id and version) and without included outcomes;
    /// `None` after the last page. Deleted entries of a history are left out. A list whose session ended is begun anew.
    ///
    /// # Errors
    /// A failed request, a link to another origin, links in a circle, or an error inside the page.
    pub async fn next_page(&mut self) -> Result<Option<Page>, Failure> {
        let listed = loop {
            let Some(url) = self.next.take() else { return Ok(None) };
            if !self.visited.insert(url.to_string()) || self.visited.len() > MAX_PAGES {
                return Err(Failure::new(Kind::Refused, "The EHR's pages go round in a circle."));
            }
            match self.client.page(url).await {
                Ok(listed) => break listed,
                Err(failure) if failure.kind == Kind::Expired && self.restarts < RESTARTS => {
                    self.restarts += 1;
                    self.visited.clear();
                    self.next = Some(self.first.clone());
                }
                Err(failure) => return Err(failure),
            }
        };
        let Listed { mut bundle, unreadable } = listed;
        if let Some(says) = outcome::error_in(&bundle) {
            return Err(Failure::new(Kind::Refused, format!("The EHR's list is not complete. {says}")));
        }
        if let Some(link) = next_link(&bundle) {
            self.next = Some(self.client.own_link(link)?);
        }
        let entries = bundle.get_mut("entry").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
        let mut page = Page { resources: Vec::with_capacity(entries.len()), unreadable };
        for mut entry in entries {
            let Some(resource) = entry.get_mut("resource").map(Value::take) else { continue };
            let kind = fhir::resource_type(&resource);
            if kind == Some("OperationOutcome") {
                continue;
            }
            if let (Some(kind), Some(id)) = (kind, resource.get("id").and_then(Value::as_str))
                && !self.seen.insert((kind.to_owned(), id.to_owned(), version_id(&resource)))
            {
                continue;
            }
            page.resources.push(resource);
        }
        Ok(Some(page))
    }
}

fn next_link(bundle: &Value) -> Option<&str> {
    let links = bundle.get("link")?.as_array()?;
    links.iter().find(|link| link.get("relation").and_then(Value::as_str) == Some("next"))?.get("url")?.as_str()
}
