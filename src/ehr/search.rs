//! Paging through a searchset or history (<https://hl7.org/fhir/R4/http.html#paging>): links are opaque and must stay
//! at the EHR's origin, the same version may come on two pages, totals may be absent, a page may carry an error. A page
//! that came is given even where the next one cannot be had; a list that is not what was asked for is not read to its end.

use std::collections::HashSet;

use bytes::Bytes;
use reqwest::Url;
use serde_json::Value;

use super::{
    answer::version_id,
    asked::Asked,
    client::Client,
    failure::{Failure, Kind},
    outcome,
    page::Listed,
};
use crate::fhir;

/// More pages than this are taken for a loop that changes its address each time.
const MAX_PAGES: usize = 100_000;
/// So many resources are remembered as shown, twice: enough for pages that overlap, not a list's whole length.
const REMEMBERED: usize = 50_000;
/// So often a list that expired on the way is begun anew.
const RESTARTS: usize = 3;

/// One page's yield.
#[derive(Debug, Default)]
pub struct Page {
    /// Resources that earlier pages did not show, also such without type or id.
    pub resources: Vec<Value>,
    /// Entries that cannot be read.
    pub unreadable: Vec<Bytes>,
    /// Of a history: records that it shows as deleted, `Type/id`.
    pub deleted: Vec<String>,
    /// Parameters that the EHR did not heed, by the first page: the entries show it (`identifier`), or its link to itself
    /// leaves them out.
    pub ignored: Vec<String>,
    /// What the EHR's own clock said, where it says so.
    pub at: Option<jiff::Timestamp>,
    /// Why nothing can be read after this page although there is more; asking for the next page gives the same.
    pub ends: Option<Failure>,
}

/// A search in progress.
#[derive(Debug)]
pub struct Search<'a> {
    client: &'a Client,
    asked: Option<Asked>,
    first: Url,
    restarts: usize,
    next: Option<Url>,
    ends: Option<Failure>,
    visited: HashSet<String>,
    seen: Seen,
}

type Key = (String, String, Option<String>);

/// What was shown already, as far back as counts.
#[derive(Debug, Default)]
struct Seen {
    recent: HashSet<Key>,
    older: HashSet<Key>,
}

impl Seen {
    /// Whether this is new.
    fn insert(&mut self, key: Key) -> bool {
        if self.recent.len() >= REMEMBERED {
            self.older = std::mem::take(&mut self.recent);
        }
        !self.older.contains(&key) && self.recent.insert(key)
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(client: &'a Client, kind: &str, first: Url) -> Self {
        let (next, asked) = (Some(first.clone()), Some(Asked::of(kind, &first)));
        Self { client, asked, first, restarts: 0, next, ends: None, visited: HashSet::new(), seen: Seen::default() }
    }

    /// The next page without the resources of earlier pages (same id and version) and without included outcomes;
    /// `None` after the last page. A list whose session ended is begun anew.
    ///
    /// # Errors
    /// A failed request, links in a circle, or an error inside the page. After a page whose successor cannot be had
    /// ([`Page::ends`]): a link to another address, or a search for identifiers that was not honoured ([`Kind::NotHonoured`]).
    pub async fn next_page(&mut self) -> Result<Option<Page>, Failure> {
        if let Some(failure) = &self.ends {
            return Err(failure.clone());
        }
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
        let Listed { mut bundle, unreadable, at } = listed;
        if let Some(says) = outcome::error_in(&bundle) {
            return Err(Failure::new(Kind::Refused, format!("The EHR's list is not complete. {says}")));
        }
        let ignored = self.asked.take().map(|asked| asked.ignored(&bundle)).unwrap_or_default();
        match next_link(&bundle).map(|link| self.client.own_link(link)) {
            Some(_) if ignored.iter().any(|name| name == "identifier") => {
                let sentence =
                    "The EHR does not search by identifier: its list shows what was not asked for, and goes on.";
                self.ends = Some(Failure::new(Kind::NotHonoured, sentence));
            }
            Some(Ok(next)) => self.next = Some(next),
            Some(Err(failure)) => self.ends = Some(failure),
            None => {}
        }
        let entries = bundle.get_mut("entry").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
        let mut page = Page {
            resources: Vec::with_capacity(entries.len()),
            unreadable,
            deleted: Vec::new(),
            at,
            ignored,
            ends: self.ends.clone(),
        };
        for mut entry in entries {
            let Some(resource) = entry.get_mut("resource").map(Value::take) else {
                page.deleted.extend(deleted(&entry));
                continue;
            };
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

/// What an entry of a history says was deleted.
fn deleted(entry: &Value) -> Option<String> {
    let request = entry.get("request").filter(|request| request["method"] == "DELETE")?;
    let url = request.get("url").or_else(|| entry.get("fullUrl"))?.as_str()?;
    let mut steps = url.rsplit('/');
    let (id, kind) = (steps.next()?, steps.next()?);
    Some(format!("{kind}/{id}"))
}

fn next_link(bundle: &Value) -> Option<&str> {
    let links = bundle.get("link")?.as_array()?;
    links.iter().find(|link| link.get("relation").and_then(Value::as_str) == Some("next"))?.get("url")?.as_str()
}
