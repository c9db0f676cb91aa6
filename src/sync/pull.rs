//! Fetching what changed at an EHR: a cursor per system and type by `_lastUpdated` with overlap, a type's history
//! where that is what it offers, and sweeps compared by content, because timestamps are skewed, stale or absent. The
//! cursor never passes what was not taken in.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use tokio::{sync::watch, time::Instant};

use super::{
    Error, identity,
    inbound::Taken,
    puzzled::list_of,
    record::LIAISON,
    retry::{Circuit, Gate},
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
    // Types of which the EHR gives no more for a while.
    let mut resting: HashMap<&str, Instant> = HashMap::new();
    while !*stopped.borrow() {
        for kind in &types {
            let gate = system.circuit(|circuit| circuit.gate(inner.clock.now()));
            if *stopped.borrow() || matches!(gate, Gate::Shut(_)) {
                break;
            }
            if resting.get(kind.as_str()).is_some_and(|until| *until > Instant::now()) {
                continue;
            }
            // After an outage a fetch is as good a probe as a push, and where nothing waits to be pushed the only one.
            if gate == Gate::Probe {
                system.circuit(Circuit::probing);
            }
            let ended = inner.pull(&system, &pull, kind, round).await;
            if gate == Gate::Probe {
                system.circuit(Circuit::undecided);
            }
            if let Err(failed) = ended {
                tracing::warn!(system = %system.name(), kind, code = failed.code, "a fetch failed; it is repeated");
                resting
                    .extend(failed.rests.and_then(|rests| Some((kind.as_str(), Instant::now().checked_add(rests)?))));
            }
        }
        round += 1;
        tokio::select! {
            biased;
            () = tokio::time::sleep(pull.every.get()) => {}
            _ = stopped.changed() => {}
        }
    }
}

/// Why a round of a type did not end well.
struct Failed {
    code: &'static str,
    /// For so long it is not worth asking again.
    rests: Option<Duration>,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        let rests = failure.retry_after.filter(|_| failure.kind == ehr::Kind::Later);
        Self { code: failure.code(), rests }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { code: error.code(), rests: None }
    }
}

/// The days that a sweep looks at, the last one included.
type Days = (Date, Date);

impl Inner {
    /// One round of one type.
    async fn pull(&self, system: &System, pull: &PullConfig, kind: &str, round: u64) -> Result<(), Failed> {
        let capability = match self.capability(system).await {
            Ok(capability) => capability,
            Err(failure) if failure.kind == ehr::Kind::NotAnEhr => Arc::default(),
            Err(failure) => return Err(failure.into()),
        };
        let mode = match capability.searches(kind, "_lastUpdated") {
            Some(false) if capability.offers(kind, "history-type") => Mode::History,
            Some(false) => Mode::Sweep,
            _ => Mode::LastUpdated,
        };
        let since = self
            .ledger
            .cursor(system.name(), kind)
            .map_err(Error::from)?
            .and_then(|cursor| cursor.cursor.parse::<Timestamp>().ok());
        let mut mode = mode;
        if mode != Mode::Sweep {
            use ehr::Kind::{NotOffered, Refused, TooMany};
            match self.fetch(system, pull, kind, mode, since, None).await {
                // Some refuse the parameter only when it is used; a sweep can go in smaller steps.
                Err(failure) if matches!(failure.kind, Refused | NotOffered | TooMany) => {
                    mode = Mode::Sweep;
                }
                ended => ended??,
            }
        }
        if mode == Mode::Sweep || (round % SWEEP_EVERY == SWEEP_EVERY - 1) {
            self.sweep(system, pull, kind, since).await?;
        }
        Ok(())
    }

    /// Looks at content; where that is too much at once, in two halves of the days, and so on.
    async fn sweep(
        &self,
        system: &System,
        pull: &PullConfig,
        kind: &str,
        since: Option<Timestamp>,
    ) -> Result<(), Failed> {
        let days = pull.sweep.get(kind).map(|sweep| {
            let today = self.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
            let (past, future) = (i64::from(sweep.past_days).days(), i64::from(sweep.future_days).days());
            (today.saturating_sub(past), today.saturating_add(future))
        });
        let mut left = vec![days];
        while let Some(days) = left.pop() {
            match (self.fetch(system, pull, kind, Mode::Sweep, since, days).await, days) {
                (Err(failure), Some(days)) if failure.kind == ehr::Kind::TooMany && days.0 < days.1 => {
                    let (early, late) = halves(days);
                    left.extend([Some(late), Some(early)]);
                }
                (ended, _) => ended??,
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
        days: Option<Days>,
    ) -> Result<Result<(), Error>, Failure> {
        let mut search = self.search_for(system, pull, kind, mode, since, days)?;
        let zone = TimeZone::get(&system.config.zone).unwrap_or(TimeZone::UTC);
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
                Err(failure) => {
                    if failure.kind == ehr::Kind::Lost && failure.status.is_some_and(|s| (200..300).contains(&s)) {
                        // What cannot be told is told in the next round.
                        let _told = self.illegible(system, kind).await;
                    }
                    return Err(failure);
                }
            };
            pages += 1;
            self.forget_told(&list_of(system, kind));
            for entry in page.unreadable {
                if let Err(error) = self.nameless(system, "that cannot be read", entry).await {
                    return Ok(Err(error));
                }
            }
            for resource in page.resources {
                let updated = ehr::last_updated(&resource, &zone);
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
            if mode == Mode::Sweep && days.is_none() && pages >= SWEEP_PAGES {
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
        days: Option<Days>,
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
                if let (Some(sweep), Some((from, to))) = (pull.sweep.get(kind), days) {
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

/// The earlier and the later half of some days, of which there are at least two.
fn halves((from, to): Days) -> (Days, Days) {
    let middle = from.saturating_add((i64::from((to - from).get_days()) / 2).days());
    ((from, middle), (middle.saturating_add(1.day()), to))
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
    fn days_are_halved_down_to_one() {
        let day = |n: i8| Date::constant(2026, 3, n);
        assert_eq!(halves((day(1), day(2))), ((day(1), day(1)), (day(2), day(2))));
        assert_eq!(halves((day(1), day(31))), ((day(1), day(16)), (day(17), day(31))));
    }

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
