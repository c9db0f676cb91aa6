//! When to try again: backoff with jitter, the EHR's own `Retry-After`, and one circuit a system, which after an
//! outage lets a single probe through before the rest. Pure: time (of the steady clock) and chance are arguments.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(300);
/// So many failures of the system in a row open its circuit.
const TOLERATED: u32 = 3;
/// An open circuit lets a probe through at least this often, unless the EHR asked for more patience.
const PROBE_WITHIN: Duration = Duration::from_secs(30);

/// The wait before attempt `attempt + 1`, between half and the whole of a doubling span; never less than what the
/// EHR asked for. `chance` is in `0.0..1.0`.
#[must_use]
pub fn backoff(attempt: u32, asked: Option<Duration>, chance: f64) -> Duration {
    let span = FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(12)).min(LONGEST);
    let wait = span.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
    match asked {
        // A little more than asked, so that many who were asked alike do not come back at once.
        Some(asked) => (asked + FIRST.mul_f64(chance.clamp(0.0, 1.0))).max(FIRST.mul_f64(chance.clamp(0.0, 1.0))),
        None => wait,
    }
}

/// What fails again and again is asked for at least this often.
pub const LONGEST_REST: Duration = Duration::from_secs(900);

/// How long something rests that is asked for each `every` and has failed `failed` times in a row: doubling, up to `longest`.
#[must_use]
pub fn rest(every: Duration, failed: u32, longest: Duration) -> Duration {
    every.saturating_mul(1 << failed.saturating_sub(1).min(10)).min(longest)
}

/// Whole milliseconds, for the ledger.
#[must_use]
pub fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

/// Whether a system may be sent to. Failures that concern one object only are not told to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circuit {
    failures: u32,
    closed_until: Option<Duration>,
    probing: bool,
}

/// What a system may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// As much as its concurrency allows.
    Open,
    /// One request, whose outcome decides.
    Probe,
    /// Nothing for so long.
    Shut(Duration),
}

impl Circuit {
    /// What may be sent at `now`.
    #[must_use]
    pub const fn gate(&self, now: Duration) -> Gate {
        let Some(until) = self.closed_until else { return Gate::Open };
        let left = until.saturating_sub(now);
        match (left.is_zero(), self.probing) {
            (true, false) => Gate::Probe,
            (true, true) => Gate::Shut(FIRST),
            (false, _) => Gate::Shut(left),
        }
    }

    /// A probe was sent.
    pub const fn probing(&mut self) {
        self.probing = true;
    }

    /// The system did something for us.
    pub const fn succeeded(&mut self) {
        *self = Self { failures: 0, closed_until: None, probing: false };
    }

    /// A probe ended without telling anything about the system.
    pub const fn undecided(&mut self) {
        self.probing = false;
    }

    /// The system as a whole failed at `now`; it asked to be left alone for `asked`.
    pub fn failed(&mut self, now: Duration, asked: Option<Duration>, chance: f64) {
        let shut = self.closed_until.is_some_and(|until| until > now);
        // What was under way when the circuit opened tells nothing new.
        if shut && !self.probing && asked.is_none() {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        self.probing = false;
        if asked.is_none() && self.failures < TOLERATED && self.closed_until.is_none() {
            return;
        }
        let trips = self.failures.saturating_sub(TOLERATED) + 1;
        let longest = if asked.is_some() { LONGEST } else { PROBE_WITHIN };
        let wait = backoff(trips, asked, chance).min(longest);
        let until = now.saturating_add(wait);
        self.closed_until = Some(self.closed_until.map_or(until, |before| before.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn backoff_doubles_within_bounds_and_heeds_the_ehr() {
        for attempt in 1..40 {
            for chance in [0.0, 0.5, 0.999] {
                let wait = backoff(attempt, None, chance);
                assert!(wait >= FIRST / 2 && wait <= LONGEST, "{attempt} {wait:?}");
            }
        }
        assert!(backoff(5, None, 0.0) > backoff(2, None, 0.0));
        assert!(backoff(1, Some(Duration::from_secs(7)), 0.3) >= Duration::from_secs(7));
    }

    #[test]
    fn an_outage_opens_after_some_failures_and_one_probe_decides() {
        let mut circuit = Circuit::default();
        circuit.failed(at(0), None, 0.5);
        circuit.failed(at(0), None, 0.5);
        assert_eq!(circuit.gate(at(0)), Gate::Open);
        circuit.failed(at(0), None, 0.5);
        assert!(matches!(circuit.gate(at(0)), Gate::Shut(_)));
        (0..50).for_each(|_| circuit.failed(at(0), None, 0.5));
        assert_eq!(circuit.gate(at(10)), Gate::Probe, "what was under way does not make it worse");
        circuit.probing();
        assert!(matches!(circuit.gate(at(10)), Gate::Shut(_)), "one probe only");
        circuit.failed(at(10), None, 0.5);
        assert!(matches!(circuit.gate(at(10)), Gate::Shut(_)));
        assert_eq!(circuit.gate(at(400)), Gate::Probe);
        circuit.probing();
        circuit.succeeded();
        assert_eq!(circuit.gate(at(400)), Gate::Open);
    }

    #[test]
    fn a_wait_that_was_asked_for_holds_at_once() {
        let mut circuit = Circuit::default();
        circuit.failed(at(0), Some(Duration::from_secs(30)), 0.0);
        assert!(matches!(circuit.gate(at(29)), Gate::Shut(_)));
        assert_eq!(circuit.gate(at(31)), Gate::Probe);
    }
}
