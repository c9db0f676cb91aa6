//! How long ago an entry of the ledger was written, whatever the wall clock did meanwhile: its stamp says so, within what
//! this process has seen pass on the steady clock.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

/// Sights are at least so far apart: how exact an age is.
const APART: Duration = Duration::from_secs(1);
/// So many are kept; then old ones are given up, as far as the rest tells ages to a hundredth.
const KEPT: usize = 4096;

/// The ledger's head, seen at some moments of this process.
#[derive(Debug, Default)]
pub struct Ages(Mutex<Vec<(u64, Duration)>>);

impl Ages {
    /// The ledger's head is `head` at `steady`.
    pub fn sight(&self, head: u64, steady: Duration) {
        let mut sights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sights.last().is_some_and(|(_, last)| steady < *last + APART) {
            return;
        }
        if sights.len() >= KEPT {
            let mut last = None;
            sights.retain(|(_, then)| {
                let keeps = last.is_none_or(|last| *then - last >= (steady - *then) / 100);
                last = if keeps { Some(*then) } else { last };
                keeps
            });
        }
        sights.push((head, steady));
    }

    /// The age of the entry `seq`, stamped `at`, when the wall clock says `now` and the steady one `steady`.
    #[must_use]
    pub fn of(&self, seq: u64, at: Timestamp, now: Timestamp, steady: Duration) -> Duration {
        let by_stamps = Duration::try_from(now.duration_since(at)).unwrap_or_default();
        let (least, most) = self.bounds(seq, steady);
        by_stamps.min(most.unwrap_or(Duration::MAX)).max(least)
    }

    /// Between what ages the entry `seq` is; no upper bound for what was written before this process looked first.
    #[must_use]
    pub fn bounds(&self, seq: u64, steady: Duration) -> (Duration, Option<Duration>) {
        let sights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first_after = sights.partition_point(|(head, _)| *head < seq);
        let since = |at: usize| sights.get(at).map(|(_, then)| steady.saturating_sub(*then));
        (since(first_after).unwrap_or_default(), first_after.checked_sub(1).and_then(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn stamps_count_within_what_was_seen_to_pass() {
        let ages = Ages::default();
        ages.sight(10, s(0));
        ages.sight(20, s(60));
        ages.sight(30, s(120));
        assert_eq!(ages.of(15, at(0), at(70), s(130)), s(70), "between the sights of before and after it");
        assert_eq!(ages.of(15, at(0), at(-3600), s(130)), s(70), "the clock was set back: at least since it was seen");
        assert_eq!(ages.of(15, at(0), at(3600), s(130)), s(130), "set forward: at most since it was not there yet");
        assert_eq!(ages.of(5, at(-9000), at(0), s(130)), s(9000), "from before this process: what the stamps say");
        assert_eq!(ages.of(5, at(0), at(-3600), s(130)), s(130));
        assert_eq!(ages.of(31, at(0), at(3600), s(130)), s(10), "newer than the last sight");
    }

    #[test]
    fn many_sights_stay_few_and_in_order() {
        let ages = Ages::default();
        (0..100_000_u64).for_each(|n| ages.sight(n, s(n * 2)));
        assert!(ages.0.lock().unwrap().len() <= KEPT, "few");
        let (least, most) = ages.bounds(50_000, s(200_000));
        assert!(least <= s(100_000) && most.unwrap() >= s(100_000), "{least:?} {most:?}");
        assert!(most.unwrap() - least < s(5_000), "{least:?} {most:?}");
        let (least, most) = ages.bounds(99_000, s(200_000));
        assert!(least >= s(1_900) && most.unwrap() <= s(2_100), "recent ones are exact: {least:?} {most:?}");
    }
}
