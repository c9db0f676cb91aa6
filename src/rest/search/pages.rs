//! Pages of a search result: the list is taken once and held under an opaque cursor, so that nothing is skipped or
//! shown twice while others write. Bounded; the oldest list goes first, and its pages then answer 410.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::json;

use super::{
    super::Version,
    query::{Query, Shape},
};
use crate::rest::{Error, Serving, message::Answer};

const COUNT: usize = 50;
const MOST: usize = 1000;
/// How many ids all held lists may have together.
const HELD: usize = 2_000_000;

/// A held result.
pub(super) struct Listing {
    pub kind: String,
    pub query: Query,
    pub ids: Vec<String>,
    pub count: usize,
}

#[derive(Default)]
struct Shelf {
    listings: HashMap<String, Arc<Listing>>,
    order: VecDeque<String>,
    ids: usize,
}

/// All held results.
#[derive(Default)]
pub(in crate::rest) struct Pages(Mutex<Shelf>);

impl Pages {
    fn put(&self, token: &str, listing: Arc<Listing>) {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.ids += listing.ids.len();
        shelf.listings.insert(token.to_owned(), listing);
        shelf.order.push_back(token.to_owned());
        while shelf.ids > HELD && shelf.order.len() > 1 {
            let Some(oldest) = shelf.order.pop_front() else { break };
            let gone = shelf.listings.remove(&oldest).map_or(0, |listing| listing.ids.len());
            shelf.ids -= gone;
        }
    }

    fn get(&self, token: &str) -> Option<Arc<Listing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).listings.get(token).cloned()
    }
}

impl Serving<'_> {
    pub(super) fn first_page(self, kind: &str, query: Query, found: &[Arc<Version>]) -> Result<Answer, Error> {
        let count = query.count.unwrap_or(COUNT).min(MOST);
        let shown = &found[..count.min(found.len())];
        let next = if count > 0 && found.len() > count && query.shape != Shape::Count {
            let token = self.server.clock.new_id().simple().to_string();
            Some((token, count))
        } else {
            None
        };
        let mut bundle = self.searchset(&query, shown, Some(found.len()))?;
        let mut links = vec![json!({"relation": "self", "url": self.link(kind, &query.used)})];
        if let Some((token, offset)) = next {
            links.push(json!({"relation": "next", "url": self.page_link(&token, offset)}));
            let ids = found.iter().map(|version| version.id.clone()).collect();
            self.server.pages.put(&token, Arc::new(Listing { kind: kind.to_owned(), query, ids, count }));
        }
        bundle["link"] = json!(links);
        Ok(Answer::of(200, bundle))
    }

    /// `token.offset`, from a `next` link.
    pub(in crate::rest) fn further_page(self, cursor: &str) -> Result<Answer, Error> {
        let (token, offset) = cursor.split_once('.').ok_or(Error::PageExpired)?;
        let listing = self.server.pages.get(token).ok_or(Error::PageExpired)?;
        let offset: usize = offset.parse().ok().filter(|at| *at < listing.ids.len()).ok_or(Error::PageExpired)?;
        let end = (offset + listing.count).min(listing.ids.len());
        let start = if self.quirks.repeat_across_pages { offset.saturating_sub(1) } else { offset };
        let mut shown = Vec::with_capacity(end - start);
        for id in &listing.ids[start..end] {
            // What was deleted in between is left out.
            shown.extend(self.store.read(&listing.kind, id)?.filter(|version| version.resource.is_some()));
        }
        let mut bundle = self.searchset(&listing.query, &shown, Some(listing.ids.len()))?;
        let mut links = vec![json!({"relation": "self", "url": self.page_link(token, offset)})];
        if end < listing.ids.len() {
            links.push(json!({"relation": "next", "url": self.page_link(token, end)}));
        }
        bundle["link"] = json!(links);
        Ok(Answer::of(200, bundle))
    }

    fn page_link(self, token: &str, offset: usize) -> String {
        self.link("", &[("_page".to_owned(), format!("{token}.{offset}"))])
    }
}
