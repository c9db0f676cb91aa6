//! Paging through a searchset or history (<https://hl7.org/fhir/R4/http.html#paging>): links are opaque and must stay
//! at the EHR's origin, the same version may come on two pages, totals may be absent, a page may carry an error.

use std::collections::HashSet;

use reqwest::Url;
use serde_json::Value;

use super::{
    answer::version_id,
    client::Client,
    failure::{Failure, Kind},
    outcome,
};
use crate::fhir;

/// More pages than this are taken for a loop that changes its address each time.
const MAX_PAGES: usize = 100_000;

/// A search in progress.
#[derive(Debug)]
pub struct Search<'a> {
    client: &'a Client,
    next: Option<Url>,
    visited: HashSet<String>,
    seen: HashSet<(String, String, Option<String>)>,
}

impl<'a> Search<'a> {
    pub(super) fn new(client: &'a Client, first: Url) -> Self {
        Self { client, next: Some(first), visited: HashSet::new(), seen: HashSet::new() }
    }

    /// The next page's resources without those of earlier pages (same id and version) and without included
    /// outcomes; `None` after the last page. Deleted entries of a history are left out.
    ///
    /// # Errors
    /// A failed request, a link to another origin, links in a circle, or an error inside the page.
    pub async fn next_page(&mut self) -> Result<Option<Vec<Value>>, Failure> {
        let Some(url) = self.next.take() else { return Ok(None) };
        if !self.visited.insert(url.to_string()) || self.visited.len() > MAX_PAGES {
            return Err(Failure::new(Kind::Refused, "The EHR's pages go round in a circle."));
        }
        let mut bundle = self.client.page(url).await?;
        if let Some(says) = outcome::error_in(&bundle) {
            return Err(Failure::new(Kind::Refused, format!("The EHR's list is not complete. {says}")));
        }
        if let Some(link) = next_link(&bundle) {
            self.next = Some(self.client.own_link(link)?);
        }
        let entries = bundle.get_mut("entry").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
        let mut page = Vec::with_capacity(entries.len());
        for mut entry in entries {
            let Some(resource) = entry.get_mut("resource").map(Value::take) else { continue };
            let Some(kind) = fhir::resource_type(&resource).filter(|kind| *kind != "OperationOutcome") else {
                continue;
            };
            if let Some(id) = resource.get("id").and_then(Value::as_str)
                && !self.seen.insert((kind.to_owned(), id.to_owned(), version_id(&resource)))
            {
                continue;
            }
            page.push(resource);
        }
        Ok(Some(page))
    }
}

fn next_link(bundle: &Value) -> Option<&str> {
    let links = bundle.get("link")?.as_array()?;
    links.iter().find(|link| link.get("relation").and_then(Value::as_str) == Some("next"))?.get("url")?.as_str()
}
