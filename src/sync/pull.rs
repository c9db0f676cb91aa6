//! Fetching what changed at an EHR: a cursor per system and type by `_lastUpdated` with overlap, a type's history
//! where that is what it offers, and sweeps compared by content, because timestamps are skewed, stale or absent. The
//! cursor never passes what was not taken in.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, ToSpan as _};
use serde_json::Value;
use tokio::sync::watch;

use super::{
    Error, identity,
    inbound::Taken,
    record::LIAISON,
    retry::Gate,
    setup::{Inner, System},
};
use crate::{
    ehr::{self, Failure, PullConfig, Search},
    error::Explained as _,
    ledger::{Draft, Fact, Proposal},
};

/// Every so many rounds a sweep looks at content, whatever the timestamps say.
const SWEEP_EVERY: u64 = 10;
/// A sweep without a date window looks at so many pages at most.
const SWEEP_PAGES: usize = 50;

/// How a type is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    LastUpdated,
    History,
    Sweep,
}

/// Fetches until told to stop.
pub(super) async fn run(inner: Arc<Inner>, system: Arc<System>, mut stopped: watch::Receiver<bool>) {
    let Some(pull) = system.config.pull.clone() else { return };
    let mut types = pull.types.clone();
    // Those that others refer to come first.
    types.sort_by_key(|kind| !identity::is_registered(kind));
    let mut round = 0_u64;
    while !*stopped.borrow() {
        for kind in &types {
            let gate = system.circuit(|circuit| circuit.gate(inner.clock.now()));
            if *stopped.borrow() || gate != Gate::Open {
                break;
            }
            if let Err(error) = inner.pull(&system, &pull, kind, round).await {
                tracing::warn!(system = %system.name(), kind, code = error, "a fetch failed; it is repeated");
            }
        }
        round += 1;
        tokio::select! {
            () = tokio::time::sleep(pull.every.get()) => {}
            _ = stopped.changed() => {}
        }
    }
}

impl Inner {
    /// One round of one type.
    async fn pull(&self, system: &System, pull: &PullConfig, kind: &str, round: u64) -> Result<(), &'static str> {
        let capability = match self.capability(system).await {
            Ok(capability) => capability,
            Err(failure) if failure.kind == ehr::Kind::NotAnEhr => Arc::default(),
            Err(failure) => return Err(failure.code()),
        };
        let mode = match capability.searches(kind, "_lastUpdated") {
            Some(false) if capability.offers(kind, "history-type") => Mode::History,
            Some(false) => Mode::Sweep,
            _ => Mode::LastUpdated,
        };
        let since = self
            .ledger
            .cursor(system.name(), kind)
            .map_err(|error| error.code())?
            .and_then(|cursor| cursor.cursor.parse::<Timestamp>().ok());
        let mut mode = mode;
        if mode != Mode::Sweep {
            match self.fetch(system, pull, kind, mode, since).await {
                // Some refuse the parameter only when it is used.
                Err(failure) if matches!(failure.kind, ehr::Kind::Refused | ehr::Kind::NotOffered) => {
                    mode = Mode::Sweep;
                }
                Err(failure) => return Err(failure.code()),
                Ok(ended) => ended.map_err(|error| error.code())?,
            }
        }
        if mode == Mode::Sweep || (round % SWEEP_EVERY == SWEEP_EVERY - 1) {
            match self.fetch(system, pull, kind, Mode::Sweep, since).await {
                Ok(ended) => ended.map_err(|error| error.code())?,
                Err(failure) => return Err(failure.code()),
            }
        }
        Ok(())
    }

    async fn fetch(
        &self,
        system: &System,
        pull: &PullConfig,
        kind: &str,
        mode: Mode,
        since: Option<Timestamp>,
    ) -> Result<Result<(), Error>, Failure> {
        let mut search = self.search_for(system, pull, kind, mode, since)?;
        let (mut newest, mut held, mut pages) = (since, None::<Timestamp>, 0);
        loop {
            let page = match self.ask(system, search.next_page()).await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(failure) if failure.kind == ehr::Kind::Refused && pages == 0 && mode == Mode::LastUpdated => {
                    // Sorting is a wish; some EHRs refuse it.
                    search = system.client.search(kind, &parameters(pull, since, false, &count(pull)).as_pairs())?;
                    match self.ask(system, search.next_page()).await? {
                        Some(page) => page,
                        None => break,
                    }
                }
                Err(failure) => return Err(failure),
            };
            pages += 1;
            for resource in page {
                let updated = last_updated(&resource);
                match self.take_in(system, resource).await {
                    Ok(Taken::Done) => newest = newest.max(updated),
                    Ok(Taken::Held) => held = earliest(held, updated),
                    // One resource must not hold up the others, nor be passed over.
                    Err(Error::Ledger(crate::ledger::LedgerError::Stale { .. })) => {
                        held = earliest(held, updated);
                    }
                    Err(error) => {
                        tracing::warn!(system = %system.name(), kind, code = error.code(), "a resource cannot be taken in");
                        held = earliest(held, updated);
                    }
                }
            }
            let windowed = pull.sweep.contains_key(kind);
            if mode == Mode::Sweep && !windowed && pages >= SWEEP_PAGES {
                break;
            }
        }
        if mode == Mode::Sweep {
            return Ok(Ok(()));
        }
        let cursor = match (newest, held) {
            (Some(newest), Some(held)) => Some(newest.min(held)),
            (newest, None) => newest,
            (None, Some(_)) => None,
        };
        Ok(self.move_cursor(system, kind, since, cursor).await)
    }

    fn search_for<'a>(
        &self,
        system: &'a System,
        pull: &PullConfig,
        kind: &str,
        mode: Mode,
        since: Option<Timestamp>,
    ) -> Result<Search<'a>, Failure> {
        match mode {
            Mode::LastUpdated => system.client.search(kind, &parameters(pull, since, true, &count(pull)).as_pairs()),
            Mode::History => {
                let mut list = Parameters(vec![("_count".to_owned(), count(pull))]);
                if let Some(since) = reaching_back(pull, since) {
                    list.0.push(("_since".to_owned(), since.to_string()));
                }
                system.client.history(kind, &list.as_pairs())
            }
            Mode::Sweep => {
                let mut list = Parameters(vec![("_count".to_owned(), count(pull))]);
                if let Some(sweep) = pull.sweep.get(kind) {
                    let today = self.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
                    let from = today.saturating_sub(i64::from(sweep.past_days).days());
                    let to = today.saturating_add(i64::from(sweep.future_days).days());
                    list.0.push((sweep.param.clone(), format!("ge{from}")));
                    list.0.push((sweep.param.clone(), format!("le{to}")));
                }
                system.client.search(kind, &list.as_pairs())
            }
        }
    }

    async fn move_cursor(
        &self,
        system: &System,
        kind: &str,
        before: Option<Timestamp>,
        cursor: Option<Timestamp>,
    ) -> Result<(), Error> {
        let Some(cursor) = cursor.filter(|cursor| Some(*cursor) != before) else { return Ok(()) };
        let fact = Fact::CursorMoved { resource_type: kind.to_owned(), cursor: cursor.to_string() };
        let draft = Draft::new(fact, LIAISON, format!("Fetched {kind} from {}.", system.name())).system(system.name());
        self.ledger.commit(Proposal::of(draft)).await?;
        Ok(())
    }
}

struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn as_pairs(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

fn parameters(pull: &PullConfig, since: Option<Timestamp>, sorted: bool, count: &str) -> Parameters {
    let mut list = vec![("_count".to_owned(), count.to_owned())];
    if let Some(since) = reaching_back(pull, since) {
        list.push(("_lastUpdated".to_owned(), format!("ge{since}")));
    }
    if sorted {
        list.push(("_sort".to_owned(), "_lastUpdated".to_owned()));
    }
    Parameters(list)
}

fn reaching_back(pull: &PullConfig, since: Option<Timestamp>) -> Option<Timestamp> {
    let overlap = SignedDuration::try_from(pull.overlap.get()).unwrap_or(SignedDuration::ZERO);
    since.and_then(|since| since.checked_sub(overlap).ok())
}

fn count(pull: &PullConfig) -> String {
    pull.page_size.clamp(1, 1000).to_string()
}

fn last_updated(resource: &Value) -> Option<Timestamp> {
    resource.pointer("/meta/lastUpdated")?.as_str()?.parse().ok()
}

fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_reaches_back_behind_its_cursor() {
        let pull: PullConfig = toml::from_str("types = [\"Patient\"]\noverlap = \"2m\"").unwrap();
        let since = "2026-03-01T10:00:00Z".parse().ok();
        let list = parameters(&pull, since, true, "100");
        assert!(list.0.contains(&("_lastUpdated".to_owned(), "ge2026-03-01T09:58:00Z".to_owned())));
        assert!(parameters(&pull, None, false, "100").0.len() == 1);
        assert_eq!(pull.every.get(), std::time::Duration::from_secs(30));
    }
}
