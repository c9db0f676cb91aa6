//! One round of one type: how it is fetched, page by page, and how far the cursor moves.

use jiff::{SignedDuration, Timestamp, ToSpan as _, civil::Date, tz::TimeZone};

use super::{
    Error,
    inbound::Taken,
    missed::Shown,
    puller::{Failed, Puller},
    setup::System,
};
use crate::{
    ehr::{self, Failure, Page, PullConfig, Search, Seen},
    error::Explained as _,
};

/// Every so many rounds a sweep looks at content, whatever the timestamps say.
const SWEEP_EVERY: u64 = 10;
/// A sweep without a date window looks at so many pages at most.
const SWEEP_PAGES: usize = 50;

/// An EHR's answers and its records may be dated by clocks that differ by so much.
const SKEW: SignedDuration = SignedDuration::from_mins(10);

/// How exact a date in a header is.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// How a type is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    LastUpdated,
    History,
    Sweep,
}

/// The days that a sweep looks at, the last one included.
type Days = (Date, Date);

impl Puller {
    /// One round of one type. Everything before `upto`, by the EHR's clock, was listed in an earlier round of this process;
    /// gives the same for the next round.
    pub(super) async fn pull(
        &self,
        system: &System,
        pull: &PullConfig,
        kind: &str,
        round: u64,
        upto: Option<Timestamp>,
    ) -> Result<Option<Timestamp>, Failed> {
        let capability = system.capability(&self.translator.clock).await?;
        let mode = match capability.searches(kind, "_lastUpdated") {
            Some(false) if capability.offers(kind, "history-type") => Mode::History,
            Some(false) => Mode::Sweep,
            _ => Mode::LastUpdated,
        };
        let since = self
            .recorder
            .ledger
            .cursor(system.name(), kind)
            .map_err(Error::from)?
            .and_then(|cursor| cursor.cursor.parse::<Timestamp>().ok());
        let (mut mode, mut listed) = (mode, Shown::default());
        if mode != Mode::Sweep {
            use ehr::Kind::{NotOffered, Refused, TooMany};
            match self.fetch(system, pull, kind, mode, since.max(upto), None, &mut listed).await {
                // Some refuse the parameter only when it is used; a sweep can go in smaller steps.
                Err(failure) if matches!(failure.kind, Refused | NotOffered | TooMany) => {
                    mode = Mode::Sweep;
                }
                ended => ended??,
            }
        }
        if mode == Mode::Sweep || (round % SWEEP_EVERY == SWEEP_EVERY - 1) {
            let shown = self.sweep(system, pull, kind, since).await?;
            // Where every round is a sweep, what they do not show is looked after as often as elsewhere.
            if round % SWEEP_EVERY == SWEEP_EVERY - 1 {
                self.look_after(system, kind, &shown).await?;
            }
        }
        let listed = listed.at.filter(|_| since.is_some() && mode != Mode::Sweep);
        Ok(listed.and_then(|at| at.checked_sub(SKEW).ok()).max(upto))
    }

    /// Looks at content; where that is too much at once, in two halves of the days, and so on.
    async fn sweep(
        &self,
        system: &System,
        pull: &PullConfig,
        kind: &str,
        since: Option<Timestamp>,
    ) -> Result<Shown, Failed> {
        let mut shown = Shown { is_all: !pull.sweep.contains_key(kind), ..Shown::default() };
        let days = pull.sweep.get(kind).map(|sweep| {
            let today = self.translator.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
            let (past, future) = (i64::from(sweep.past_days).days(), i64::from(sweep.future_days).days());
            (today.saturating_sub(past), today.saturating_add(future))
        });
        let mut left = vec![days];
        while let Some(days) = left.pop() {
            match (self.fetch(system, pull, kind, Mode::Sweep, since, days, &mut shown).await, days) {
                (Err(failure), Some(days)) if failure.kind == ehr::Kind::TooMany && days.0 < days.1 => {
                    let (early, late) = halves(days);
                    left.extend([Some(late), Some(early)]);
                }
                (ended, _) => ended??,
            }
        }
        Ok(shown)
    }

    #[expect(clippy::too_many_arguments, reason = "one call each; a struct would only rename them")]
    async fn fetch(
        &self,
        system: &System,
        pull: &PullConfig,
        kind: &str,
        mode: Mode,
        since: Option<Timestamp>,
        days: Option<Days>,
        shown: &mut Shown,
    ) -> Result<Result<(), Error>, Failure> {
        let clock = &self.translator.clock;
        let mut search = self.search_for(system, pull, kind, mode, since, days)?;
        let mut progress = Progress::new(system, since, mode == Mode::LastUpdated);
        let mut pages = 0;
        loop {
            let page = match system.ask(clock, search.next_page()).await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(failure) if failure.kind == ehr::Kind::Refused && pages == 0 && mode == Mode::LastUpdated => {
                    // Sorting is a wish; some EHRs refuse it.
                    progress.in_order = false;
                    search = system.client.search(kind, &parameters(pull, since, false, &count(pull)).as_pairs())?;
                    match system.ask(clock, search.next_page()).await? {
                        Some(page) => page,
                        None => break,
                    }
                }
                Err(failure) => return Err(failure),
            };
            pages += 1;
            shown.at = shown.at.or(page.at);
            if mode == Mode::Sweep {
                shown.note(&page);
            }
            if let Err(error) = self.take_page(system, kind, page, &mut progress).await {
                return Ok(Err(error));
            }
            // What came in order is behind us, whatever becomes of the pages to come.
            if progress.in_order
                && let Err(error) = self.note(system, kind, &mut progress).await
            {
                return Ok(Err(error));
            }
            if mode == Mode::Sweep && days.is_none() && pages >= SWEEP_PAGES {
                shown.is_all = false;
                break;
            }
        }
        if mode == Mode::Sweep {
            progress.newest = since;
        }
        Ok(self.note(system, kind, &mut progress).await)
    }

    async fn take_page(&self, system: &System, kind: &str, page: Page, progress: &mut Progress) -> Result<(), Error> {
        progress.in_order &= !page.ignored.iter().any(|parameter| parameter == "_sort");
        for reference in page.deleted {
            self.deleted(system, &reference).await?;
        }
        for entry in page.unreadable {
            self.nameless(system, kind, "that cannot be read", entry).await?;
        }
        // The EHR's times are compared with its own clock.
        let now = page.at.map_or_else(|| self.translator.clock.now(), |at| at.saturating_add(SECOND).unwrap_or(at));
        for resource in page.resources {
            progress.shown(ehr::last_updated(&resource, &progress.zone), now);
            let reference = Seen::name(&resource).map(|(kind, id)| format!("{kind}/{id}"));
            match self.take_in(system, resource).await {
                Ok(Taken::Done) => {}
                Ok(Taken::Held) => progress.aside.extend(reference),
                // One resource must not hold up the others, nor be passed over; somebody being quicker is no error.
                Err(error) => {
                    let raced = matches!(&error, Error::Ledger(why) if why.is_race());
                    if !raced {
                        if reference.is_none() || error.is_disk() {
                            return Err(error);
                        }
                        tracing::warn!(system = %system.name(), kind, code = error.code(), "a resource cannot be taken in");
                    }
                    progress.aside.extend(reference);
                }
            }
        }
        Ok(())
    }

    async fn note(&self, system: &System, kind: &str, progress: &mut Progress) -> Result<(), Error> {
        let cursor = progress.newest.filter(|cursor| progress.noted.is_none_or(|noted| *cursor > noted));
        self.note_progress(system, kind, std::mem::take(&mut progress.aside), cursor).await?;
        progress.noted = cursor.or(progress.noted);
        Ok(())
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
}

/// How far a list was taken in.
struct Progress {
    zone: TimeZone,
    /// The newest that was shown.
    newest: Option<Timestamp>,
    /// Where the cursor stands.
    noted: Option<Timestamp>,
    /// It was asked for by time, and came so.
    in_order: bool,
    /// To be read again.
    aside: Vec<String>,
}

impl Progress {
    fn new(system: &System, since: Option<Timestamp>, in_order: bool) -> Self {
        let zone = TimeZone::get(&system.config.zone).unwrap_or(TimeZone::UTC);
        Self { zone, newest: since, noted: since, in_order, aside: Vec::new() }
    }

    fn shown(&mut self, updated: Option<Timestamp>, now: Timestamp) {
        // A time in the future would hide all that comes before it: it moves nothing.
        if updated.is_some_and(|updated| updated > now) {
            return;
        }
        // The overlap shows older ones again.
        let behind = updated.is_none_or(|updated| self.newest.is_some_and(|newest| updated < newest));
        if behind && self.newest != self.noted {
            self.in_order = false;
        }
        self.newest = self.newest.max(updated);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_the_future_moves_no_cursor() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let mut progress =
            Progress { zone: TimeZone::UTC, newest: Some(at(5)), noted: Some(at(5)), in_order: true, aside: vec![] };
        for shown in [at(4), at(6), at(9_000), at(7)] {
            progress.shown(Some(shown), at(60));
        }
        assert_eq!((progress.newest, progress.in_order), (Some(at(7)), true));
        progress.shown(Some(at(6)), at(60));
        assert!(!progress.in_order);
    }

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
