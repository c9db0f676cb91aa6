//! The phases of a world: the script, the healing, people who answer everything, two quiet times.

use std::collections::BTreeMap;

use super::{CALM_S, Living, Next, Phase, QUIET_S, ROUND_S, ROUNDS, SETTLE_S, SETTLE_SWEEP_S};
use crate::{judge, quirk::Kind};

impl Living<'_> {
    /// Moves on to the next phase where it is time.
    pub(super) fn step_phase(&mut self, phase: &mut Phase) -> Next {
        let now = self.world.time.elapsed().as_secs();
        // What a sweep finds, and that a type cannot be fetched or a record not be read, is told some rounds after a start only.
        let late = [Kind::StaleUpdated, Kind::Year2099, Kind::ListForbidden, Kind::UnreadableForEver];
        let swept = self.world.ehrs.iter().any(|ehr| late.iter().any(|kind| ehr.has(*kind)));
        // That a record is there no more shows in a sweep, too.
        let swept = swept || !self.world.deleted.is_empty();
        let settle = if swept { SETTLE_SWEEP_S } else { SETTLE_S };
        let quiet = Phase::Quiet { since_s: now + settle, entries: self.ledger.head(), again: false };
        match *phase {
            Phase::Script if self.world.is_over() && self.clients.is_empty() => {
                self.world.trace.say(|| "all heals".to_owned());
                self.world.ehrs.iter().for_each(|ehr| ehr.heal());
                *phase = Phase::Calm { until_s: now + CALM_S };
            }
            Phase::Calm { until_s } if now >= until_s || self.is_settled(now, until_s - CALM_S) => {
                if self.is_answered() && !self.is_pending() {
                    *phase = quiet;
                } else {
                    self.answer_all(0);
                    *phase = Phase::Answered { round: 1, until_s: now + ROUND_S };
                }
            }
            Phase::Answered { round, until_s } if self.clients.is_empty() => {
                if now + ROUND_S > until_s + 90 && self.is_answered() && !self.is_pending() {
                    *phase = quiet;
                } else if now >= until_s {
                    if round >= ROUNDS {
                        judge::unended(self.world);
                        return Next::Ends;
                    }
                    self.answer_all(round);
                    *phase = Phase::Answered { round: round + 1, until_s: now + ROUND_S };
                }
            }
            // What was done last may still be fetched back: the quiet begins after that.
            Phase::Quiet { since_s, ref mut entries, again: false } if now < since_s => *entries = self.ledger.head(),
            Phase::Quiet { since_s, entries, again } if now >= since_s + self.quiet_s(again) => {
                let added = self.ledger.head() - entries;
                if added > 0 {
                    self.noise(entries, added, again);
                }
                if !self.is_answered() || self.is_pending() {
                    // Something new turned up.
                    self.answer_all(ROUNDS - 1);
                    *phase = Phase::Answered { round: ROUNDS, until_s: now + ROUND_S };
                } else if again {
                    return Next::Ends;
                } else {
                    *phase = Phase::Quiet { since_s: now, entries: self.ledger.head(), again: true };
                    return Next::Restarts;
                }
            }
            _ => {}
        }
        Next::Goes
    }

    pub(super) fn noise(&mut self, from: u64, added: u64, again: bool) {
        let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
        for entry in self.ledger.entries(from + 1, 10_000).unwrap_or_default() {
            *kinds.entry(entry.draft.fact.kind().to_owned()).or_default() += 1;
        }
        let after = if again { ", after a restart" } else { "" };
        let quiet_s = self.quiet_s(again);
        self.world.wrong("noisy", format!("{added} entries in a quiet time of {quiet_s} s{after}: {kinds:?}"));
    }

    pub(super) fn quiet_s(&self, again: bool) -> u64 {
        QUIET_S[(self.world.plan.seed % 4) as usize][usize::from(again)]
    }

    pub(super) fn is_pending(&self) -> bool {
        self.world
            .shown
            .syncs
            .values()
            .any(|sync| matches!(sync["state"].as_str(), Some("accepted" | "sending" | "retrying" | "unknown")))
    }

    pub(super) fn is_answered(&self) -> bool {
        self.world.shown.open().is_empty()
    }

    /// Nothing more is to be expected without people; at least two rounds of fetching have passed.
    pub(super) fn is_settled(&self, now: u64, since: u64) -> bool {
        now >= since + 150 && !self.is_pending()
    }
}
