//! How an EHR is as a whole: since when it is in trouble, and why, by the exchanges themselves. A change is logged once. A
//! person is asked after `tell_after`, or at once where only a person can mend it (rejected credentials, a secret that
//! cannot be used); the question closes by itself when the EHR is well again.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    Error,
    record::{HOUR_MS, Trouble},
    recorder::Recorder,
    setup::System,
};
use crate::{
    ehr::Failure,
    error::Explained as _,
    ledger::{Fact, ItemKind},
};

/// Entries looked through for a sign that the EHR was well since a question was closed.
const LOOKED_THROUGH: usize = 2000;

/// An EHR in trouble.
#[derive(Clone, Debug)]
struct Since {
    since: Timestamp,
    /// The same by the steady clock.
    from: Duration,
    failure: Failure,
    told: bool,
}

/// How an EHR's state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It cannot be used any more.
    Fell,
    /// It could not be used, and now it shows that only a person can mend that.
    NeedsPerson,
    /// It can be used again.
    Rose,
}

/// What the exchanges say of an EHR.
#[derive(Debug, Default)]
pub(super) struct Health {
    now: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    trouble: Option<Since>,
    /// Since when it has answered well, and when it did last.
    well: Option<(Timestamp, Timestamp)>,
    /// It was well since this was looked at last, or it was never looked at.
    looked: bool,
}

impl Health {
    fn state<T>(&self, how: impl FnOnce(&mut State) -> T) -> T {
        how(&mut self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How an exchange went, by the wall clock (for people) and the steady one. Gives what that changed.
    pub fn heard(&self, failure: Option<&Failure>, now: Timestamp, steady: Duration) -> Option<Turn> {
        self.state(|state| {
            state.well = match (failure, state.well) {
                (Some(_), _) => None,
                (None, Some((since, _))) => Some((since, now)),
                (None, None) => Some((now, now)),
            };
            match (failure, &mut state.trouble) {
                (Some(failure), Some(trouble)) => {
                    let worse = failure.needs_person() && !trouble.failure.needs_person();
                    // What only a person can mend is the better reason.
                    if failure.needs_person() || !trouble.failure.needs_person() {
                        trouble.failure = failure.clone();
                    }
                    worse.then_some(Turn::NeedsPerson)
                }
                (Some(failure), none @ None) => {
                    *none = Some(Since { since: now, from: steady, failure: failure.clone(), told: false });
                    Some(Turn::Fell)
                }
                (None, trouble @ Some(_)) => {
                    *trouble = None;
                    state.looked = false;
                    Some(Turn::Rose)
                }
                (None, None) => None,
            }
        })
    }

    /// Whether an exchange showed it to be well after this moment of the steady clock.
    pub fn was_well_since(&self, moment: Duration) -> bool {
        self.state(|state| state.trouble.as_ref().is_none_or(|trouble| trouble.from > moment))
    }

    /// Since when the EHR has answered well, and when it did last.
    pub fn well(&self) -> Option<(Timestamp, Timestamp)> {
        self.state(|state| state.well)
    }

    /// Since when the EHR is in trouble, and why.
    pub fn trouble(&self) -> Option<(Timestamp, Failure)> {
        self.state(|state| state.trouble.as_ref().map(|trouble| (trouble.since, trouble.failure.clone())))
    }

    /// How long until a person is to be asked, where the EHR is in trouble and nobody was asked.
    pub fn asks_in(&self, steady: Duration, tell_after: Duration) -> Option<Duration> {
        self.state(|state| {
            let trouble = state.trouble.as_ref().filter(|trouble| !trouble.told)?;
            if trouble.failure.needs_person() {
                return Some(Duration::ZERO);
            }
            Some(tell_after.saturating_sub(steady.saturating_sub(trouble.from)))
        })
    }
}

/// What the question about an EHR as a whole is about.
fn subject_of(system: &System) -> String {
    format!("{} system", system.name())
}

/// Asks a person where it is time, and closes the question where the EHR is well. Cheap where nothing changed.
pub(super) async fn tell(recorder: &Recorder, system: &System, steady: Duration) -> Result<(), Error> {
    let health = &system.health;
    let well = health.state(|state| state.trouble.is_none() && !std::mem::replace(&mut state.looked, true));
    if well && system.is_proven() {
        return recorder.answered(&subject_of(system), "The EHR answers again.").await;
    }
    if well {
        // Nothing was exchanged yet.
        health.state(|state| state.looked = false);
        return Ok(());
    }
    if health.asks_in(steady, system.config.tell_after.get()).is_none_or(|left| !left.is_zero()) {
        return Ok(());
    }
    let Some(trouble) = health.state(|state| state.trouble.clone()) else { return Ok(()) };
    let waiting: u64 = recorder
        .ledger
        .counts()?
        .iter()
        .filter(|((name, state), _)| name == system.name().as_str() && state.is_pending())
        .map(|(_, count)| *count)
        .sum();
    let sentence = format!(
        "{} has not been usable since {}: {} Exchanges that wait for it: {waiting}.",
        system.name(),
        trouble.since.strftime("%Y-%m-%d %H:%M UTC"),
        trouble.failure.message
    );
    let hours = if trouble.failure.needs_person() { 1 } else { 4 };
    let question = Trouble::new(ItemKind::Rejected, trouble.failure.code(), sentence)
        .cause(&[system.name().as_str(), "system", if trouble.failure.needs_person() { "refused" } else { "away" }])
        // An EHR that is away in several ways by turns is one matter.
        .whatever_code()
        .subject(subject_of(system))
        .due_ms(hours * HOUR_MS);
    if !was_asked(recorder, system, &question)? {
        recorder.ask_again(system.name(), &question, None).await?;
    }
    health.state(|state| {
        if let Some(trouble) = &mut state.trouble {
            trouble.told = true;
        }
    });
    Ok(())
}

/// Whether this very question is open, or a person closed it and the EHR was not well since.
fn was_asked(recorder: &Recorder, system: &System, question: &Trouble) -> Result<bool, Error> {
    let Some(last) = recorder.ledger.last_item(&subject_of(system))? else { return Ok(false) };
    if last.status.is_open() && last.group == question.group() {
        return Ok(true);
    }
    if last.group != question.group() || !last.is_answered() {
        return Ok(false);
    }
    let after = recorder.ledger.entries(last.seq + 1, LOOKED_THROUGH)?;
    let was_well = after.len() == LOOKED_THROUGH
        || after.iter().any(|entry| {
            entry.draft.system.as_ref() == Some(system.name())
                && matches!(
                    entry.draft.fact,
                    Fact::Acknowledged { .. } | Fact::Applied { .. } | Fact::Observed { .. } | Fact::CursorMoved { .. }
                )
        });
    Ok(!was_well)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ehr::Kind;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + i64::try_from(second).unwrap()).unwrap()
    }

    #[test]
    fn a_change_is_told_once_and_what_only_a_person_can_mend_at_once() {
        let health = Health::default();
        let heard = |failure: Option<&Failure>, s: u64| health.heard(failure, at(s), Duration::from_secs(s));
        let asks_in = |s: u64, tell_after| health.asks_in(Duration::from_secs(s), tell_after);
        let down = Failure::new(Kind::Unreachable, "No connection.");
        let five = Duration::from_secs(300);
        assert_eq!(heard(None, 0), None, "well from the beginning");
        assert_eq!(heard(Some(&down), 10), Some(Turn::Fell));
        assert_eq!(heard(Some(&down), 20), None);
        assert_eq!(asks_in(70, five), Some(Duration::from_secs(240)));
        assert_eq!(asks_in(400, five), Some(Duration::ZERO));
        let rejected = Failure::new(Kind::Unauthorised, "401");
        assert_eq!(heard(Some(&rejected), 71), Some(Turn::NeedsPerson));
        assert_eq!(asks_in(71, five), Some(Duration::ZERO));
        assert_eq!(heard(Some(&down), 72), None, "the better reason stays");
        assert_eq!(asks_in(72, five), Some(Duration::ZERO));
        assert_eq!(heard(None, 80), Some(Turn::Rose));
        assert_eq!(asks_in(900, five), None);
    }
}
