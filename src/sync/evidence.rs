//! Dated evidence about one EHR and about open outcomes: which of our resources its search has shown, how far its search is
//! behind, how often an attempt was looked for. Kept in memory only: forgetting makes us more careful. A proof of absence
//! is no older than the question: what was measured before an attempt ended proves nothing about it. All times are the
//! steady clock's: a proof must not hang on a wall clock that may be set back or forward.

use std::{collections::BTreeMap, time::Duration};

use jiff::SignedDuration;

use crate::ledger::SyncId;

/// For so long a measured lag need not be measured again.
const LAG_HOLDS: Duration = Duration::from_secs(120);

/// A resource that was created at the EHR, and since when it was on its way: below zero where that was before this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Witness {
    pub system: String,
    pub value: String,
    pub sent_at: SignedDuration,
}

/// What is known about one open outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Doubt {
    /// The status of the failed answer.
    pub status: Option<u16>,
    /// When it was first read back: the attempt had ended by then.
    pub since: Option<Duration>,
    /// Times that it was looked for and not found.
    pub misses: u32,
    /// Times that looking for it failed.
    pub failures: u32,
    /// Times that a younger resource was shown and this one was not.
    pub proofs: u32,
    /// How far the EHR's search is behind at most, where that was measured since.
    pub lag: Option<Duration>,
}

/// All that is known of one EHR.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    witnesses: BTreeMap<String, Witness>,
    lags: BTreeMap<String, (Duration, Duration)>,
    doubts: BTreeMap<SyncId, Doubt>,
}

impl Evidence {
    /// A write failed in a way that leaves its outcome open.
    pub fn doubt(&mut self, id: &SyncId, status: Option<u16>) {
        self.doubts.insert(id.clone(), Doubt { status, ..Doubt::default() });
    }

    /// It is known now.
    pub fn cleared(&mut self, id: &SyncId) {
        self.doubts.remove(id);
    }

    /// What is known about an open outcome of this type of resource.
    pub fn doubt_of(&self, id: &SyncId, kind: &str) -> Doubt {
        let doubt = self.doubts.get(id).copied().unwrap_or_default();
        let measured = self.lags.get(kind).filter(|(at, _)| doubt.since.is_some_and(|since| *at >= since));
        let lag = measured.map(|(_, lag)| *lag);
        Doubt { lag: doubt.lag.zip(lag).map(|(a, b)| a.min(b)).or(doubt.lag).or(lag), ..doubt }
    }

    /// It was looked for at `now`: not found, beside a witness that was sent then, or not to be looked for.
    pub fn looked(&mut self, id: &SyncId, now: Duration, shown: Result<Option<SignedDuration>, ()>) {
        let doubt = self.doubts.entry(id.clone()).or_default();
        let since = *doubt.since.get_or_insert(now);
        match shown {
            Err(()) => doubt.failures = doubt.failures.saturating_add(1),
            Ok(witness) => {
                doubt.misses = doubt.misses.saturating_add(1);
                // Sent after the attempt had ended, and shown: the index has moved past the attempt.
                if witness.is_some_and(|sent| Duration::try_from(sent).is_ok_and(|sent| sent >= since)) {
                    doubt.proofs = doubt.proofs.saturating_add(1);
                }
                if let Some(sent) = witness {
                    let age = age(now, sent);
                    doubt.lag = Some(doubt.lag.map_or(age, |known| known.min(age)));
                }
            }
        }
    }

    /// The search showed, at `now`, a resource so long after it was sent; `None`: it did not.
    pub fn measured(&mut self, kind: &str, now: Duration, lag: Option<Duration>) {
        match lag {
            Some(lag) => self.lags.insert(kind.to_owned(), (now, lag)),
            None => self.lags.remove(kind),
        };
    }

    /// Whether the lag of a type's search is to be measured.
    pub fn wants_lag(&self, kind: &str, now: Duration) -> bool {
        self.lags.get(kind).is_none_or(|(at, _)| now.saturating_sub(*at) > LAG_HOLDS)
    }

    /// The youngest resource of a type that is known to be there.
    pub fn witness(&self, kind: &str) -> Option<Witness> {
        self.witnesses.get(kind).cloned()
    }

    /// A resource is known to be there.
    pub fn remember(&mut self, kind: &str, witness: Witness) {
        if self.witnesses.get(kind).is_none_or(|before| before.sent_at < witness.sent_at) {
            self.witnesses.insert(kind.to_owned(), witness);
        }
    }
}

/// How long ago something was sent.
pub(super) fn age(now: Duration, sent: SignedDuration) -> Duration {
    let now = SignedDuration::try_from(now).unwrap_or(SignedDuration::MAX);
    Duration::try_from(now.saturating_sub(sent)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    const fn sent(second: i64) -> SignedDuration {
        SignedDuration::from_secs(second)
    }

    #[test]
    fn a_lag_measured_before_an_incident_proves_nothing_after_it() {
        let (mut evidence, id) = (Evidence::default(), SyncId::given("s"));
        evidence.measured("Patient", at(0), Some(Duration::from_millis(20)));
        evidence.doubt(&id, None);
        evidence.looked(&id, at(10), Ok(None));
        assert_eq!(evidence.doubt_of(&id, "Patient").lag, None);
        evidence.measured("Patient", at(11), Some(Duration::from_millis(20)));
        assert_eq!(evidence.doubt_of(&id, "Patient").lag, Some(Duration::from_millis(20)));
        assert_eq!(evidence.doubt_of(&id, "Slot").lag, None);
    }

    #[test]
    fn what_a_look_shows_bounds_the_lag_for_that_question_whatever_was_measured_before() {
        let (mut evidence, id) = (Evidence::default(), SyncId::given("s"));
        evidence.measured("Patient", at(0), Some(Duration::from_millis(20)));
        evidence.doubt(&id, None);
        evidence.looked(&id, at(10), Ok(Some(sent(4))));
        assert_eq!(evidence.doubt_of(&id, "Patient").lag, Some(Duration::from_secs(6)));
        evidence.looked(&id, at(12), Ok(Some(sent(4))));
        assert_eq!(evidence.doubt_of(&id, "Patient").lag, Some(Duration::from_secs(6)), "the least that was seen");
        evidence.looked(&id, at(13), Ok(None));
        evidence.measured("Patient", at(14), Some(Duration::from_secs(2)));
        assert_eq!(evidence.doubt_of(&id, "Patient").lag, Some(Duration::from_secs(2)));
    }

    #[test]
    fn only_what_was_sent_after_the_attempt_had_ended_is_a_proof() {
        let (mut evidence, id) = (Evidence::default(), SyncId::given("s"));
        evidence.doubt(&id, Some(500));
        evidence.looked(&id, at(10), Ok(Some(sent(9))));
        assert_eq!((evidence.doubt_of(&id, "Patient").proofs, evidence.doubt_of(&id, "Patient").misses), (0, 1));
        evidence.looked(&id, at(11), Ok(Some(sent(-60))));
        assert_eq!(evidence.doubt_of(&id, "Patient").proofs, 0, "sent before this process began");
        evidence.looked(&id, at(20), Ok(Some(sent(12))));
        evidence.looked(&id, at(21), Err(()));
        let doubt = evidence.doubt_of(&id, "Patient");
        assert_eq!((doubt.proofs, doubt.misses, doubt.failures, doubt.status), (1, 3, 1, Some(500)));
        evidence.cleared(&id);
        assert_eq!(evidence.doubt_of(&id, "Patient").misses, 0);
    }
}
