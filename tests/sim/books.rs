//! What a simulated EHR holds: every commit with who made it, in order. This is the true history by which we are judged.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use liaison::{
    clock::SharedClock,
    rest::{Held, HistoryQuery, Method, Narrow, Store, StoreError, Version, Write},
};
use serde_json::{Value, json};

use super::quirk::{self, Kind};

/// Who wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A request of ours.
    Gateway,
    /// The EHR's own staff.
    Staff,
    /// The EHR by itself.
    Itself,
}

/// One commit.
#[derive(Clone, Debug)]
pub struct Commit {
    pub who: Who,
    pub version: Arc<Version>,
    /// What stood there before.
    pub before: Option<Value>,
}

#[derive(Default)]
struct Pages {
    log: Vec<Commit>,
    who: Option<Who>,
    /// What a search shows is so old.
    lag: Option<SignedDuration>,
    /// `meta.lastUpdated` of a change stays.
    stale: bool,
    /// The resource created as the so-manieth says this instead of now.
    misdated: Option<(usize, String)>,
}

pub struct Books {
    clock: SharedClock,
    pages: Mutex<Pages>,
}

impl Books {
    pub fn new(clock: SharedClock, stale: bool, misdated: Option<(usize, String)>) -> Self {
        Self { clock, pages: Mutex::new(Pages { stale, misdated, ..Pages::default() }) }
    }

    fn pages(&self) -> std::sync::MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn log(&self) -> Vec<Commit> {
        self.pages().log.clone()
    }

    pub fn length(&self) -> usize {
        self.pages().log.len()
    }

    /// Does something as somebody, seeing lists as they were so long ago.
    pub fn acting<T>(&self, who: Who, lag: Option<SignedDuration>, work: impl FnOnce(&Self) -> T) -> T {
        {
            let mut pages = self.pages();
            (pages.who, pages.lag) = (Some(who), lag);
        }
        let done = work(self);
        let mut pages = self.pages();
        (pages.who, pages.lag) = (None, None);
        done
    }

    /// The newest state of every resource that is there.
    pub fn standing(&self) -> Vec<Arc<Version>> {
        let mut newest: std::collections::BTreeMap<(String, String), Arc<Version>> = std::collections::BTreeMap::new();
        for commit in &self.pages().log {
            newest.insert((commit.version.kind.clone(), commit.version.id.clone()), commit.version.clone());
        }
        newest.into_values().filter(|version| version.resource.is_some()).collect()
    }

    /// The resource of a type that was created as the so-manieth (counted round).
    pub fn nth(&self, kind: Option<&str>, at: u64) -> Option<(String, String)> {
        let pages = self.pages();
        let made: Vec<&Arc<Version>> = pages
            .log
            .iter()
            .map(|commit| &commit.version)
            .filter(|version| version.version == "1" && kind.is_none_or(|kind| kind == version.kind))
            .collect();
        let at = usize::try_from(at).ok()?;
        made.get(at).map(|version| (version.kind.clone(), version.id.clone()))
    }

    fn versions_of(pages: &Pages, kind: &str, id: &str) -> Vec<Arc<Version>> {
        let of = |commit: &&Commit| commit.version.kind == kind && commit.version.id == id;
        pages.log.iter().filter(of).map(|commit| commit.version.clone()).collect()
    }
}

impl Store for Books {
    fn read(&self, kind: &str, id: &str) -> Result<Option<Arc<Version>>, StoreError> {
        Ok(Self::versions_of(&self.pages(), kind, id).pop())
    }

    fn versions(&self, kind: &str, id: &str) -> Result<Vec<Arc<Version>>, StoreError> {
        Ok(Self::versions_of(&self.pages(), kind, id))
    }

    fn history(&self, query: &HistoryQuery) -> Result<Vec<Arc<Version>>, StoreError> {
        let pages = self.pages();
        let of = |version: &Arc<Version>| {
            query.kind.as_ref().is_none_or(|kind| *kind == version.kind)
                && query.since.is_none_or(|since| version.at >= since)
                && query.before.is_none_or(|before| version.sequence < before)
        };
        Ok(pages.log.iter().rev().map(|commit| commit.version.clone()).filter(of).take(query.limit).collect())
    }

    fn candidates(&self, kind: &str, _narrow: Narrow) -> Result<Vec<Arc<Version>>, StoreError> {
        let pages = self.pages();
        let then = pages.lag.and_then(|lag| self.clock.now().checked_sub(lag).ok()).unwrap_or(Timestamp::MAX);
        let mut newest: std::collections::BTreeMap<&str, Arc<Version>> = std::collections::BTreeMap::new();
        for commit in pages.log.iter().filter(|commit| commit.version.kind == kind && commit.version.at <= then) {
            newest.insert(&commit.version.id, commit.version.clone());
        }
        Ok(newest.into_values().filter(|version| version.resource.is_some()).collect())
    }

    fn writing(&self) -> Box<dyn Held + '_> {
        Box::new(())
    }

    fn commit(&self, writes: Vec<Write>) -> Result<Vec<Arc<Version>>, StoreError> {
        let now = self.clock.now();
        let mut pages = self.pages();
        let who = pages.who.unwrap_or(Who::Itself);
        let mut done = Vec::new();
        for write in writes {
            let known = Self::versions_of(&pages, &write.kind, &write.id);
            let version = (known.len() + 1).to_string();
            let before = known.last().and_then(|last| last.resource.clone());
            let created = pages.log.iter().filter(|commit| commit.version.version == "1").count();
            let old = before.as_ref().and_then(|old| old.pointer("/meta/lastUpdated")?.as_str().map(str::to_owned));
            let misdated = match &pages.misdated {
                Some((at, text)) if known.is_empty() && *at == created => Some(text.clone()),
                // Once wrong, wrong for ever.
                Some((_, text)) if old.as_ref() == Some(text) => Some(text.clone()),
                _ => None,
            };
            if misdated.is_some() {
                quirk::count(Kind::Year2099);
            } else if pages.stale && old.is_some() {
                quirk::count(Kind::StaleUpdated);
            }
            let at = now.max(pages.log.last().map_or(Timestamp::MIN, |last| last.version.at));
            let updated = misdated.or(old.filter(|_| pages.stale)).unwrap_or_else(|| format!("{at:.3}"));
            let resource = write.resource.map(|mut resource| {
                if let Some(members) = resource.as_object_mut() {
                    let meta = members.entry("meta").or_insert_with(|| json!({}));
                    meta["versionId"] = json!(version);
                    meta["lastUpdated"] = json!(updated);
                }
                resource
            });
            let sequence = pages.log.len() as u64 + 1;
            let (kind, id, method) = (write.kind, write.id, write.method);
            let version = Arc::new(Version { kind, id, version, at, method, sequence, resource });
            pages.log.push(Commit { who, version: version.clone(), before });
            done.push(version);
        }
        Ok(done)
    }
}

/// A write of the EHR's own.
pub fn own_write(kind: &str, id: &str, resource: Option<Value>) -> Write {
    let method = if resource.is_some() { Method::Put } else { Method::Delete };
    Write { method, kind: kind.to_owned(), id: id.to_owned(), resource, keys: Vec::new() }
}
