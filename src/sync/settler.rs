//! Reads back what an open attempt did, and gathers the evidence by which absence is proven: which of our resources the
//! EHR's search shows, and how soon.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    evidence::Witness,
    identity,
    scene::Scene,
    setup::System,
    step::{Look, Sight},
    translator::Translator,
};
use crate::{
    ehr::{self, Failure, Seen},
    ledger::{Fact, InFlight, SyncId, SyncRow},
    mapping::MAIN,
};

/// Entries looked through for the youngest resource that an EHR has.
const RECOLLECTED: u64 = 2000;

/// Looks at EHRs for open outcomes.
pub(super) struct Settler {
    pub translator: Arc<Translator>,
}

impl Settler {
    /// Reads back what an open attempt did.
    pub async fn look(&self, system: &System, scene: &Scene, look: Look) -> Result<Sight, Failure> {
        let clock = &self.translator.clock;
        let looked = match look {
            Look::Nohow => return Ok(Sight::Nameless),
            Look::At { kind, id } => match system.read(clock, &kind, &id).await {
                Ok(seen) => Ok(Sight::Found(Box::new(seen))),
                Err(failure) if failure.kind == ehr::Kind::Gone => Ok(Sight::Nothing { witness: None }),
                Err(failure) => Err(failure),
            },
            Look::By { kind, system: name, value } => {
                let witness = system.evidence(|evidence| evidence.witness(&kind));
                let witness = witness.or_else(|| self.recollect(system, &scene.row, &kind));
                self.search(system, &kind, (&name, &value), witness).await
            }
        };
        let now = clock.steady();
        let shown = match &looked {
            Ok(Sight::Nothing { witness }) => Some(Ok(*witness)),
            Err(_) => Some(Err(())),
            _ => None,
        };
        if let Some(shown) = shown {
            system.evidence(|evidence| evidence.looked(&scene.row.id, now, shown));
        }
        if let (Ok(Sight::Found(seen)), Some(flight)) = (&looked, scene.row.in_flight()) {
            self.found_witness(system, flight, seen, now);
        }
        looked
    }

    /// What was found shows how far the search is behind at most, where this process knows when it was sent.
    fn found_witness(&self, system: &System, flight: &InFlight, seen: &Seen, now: Duration) {
        let claim = seen.body.as_ref().and_then(|body| identity::claimed(body, &self.translator.instance));
        let Some((object, id)) = claim.filter(|_| flight.interaction == "create") else { return };
        let (_, Some(at_most)) = self.translator.ages.bounds(flight.seq, now) else { return };
        let name = system.context.system(object.as_str());
        let sent_at = sent_before(now, at_most);
        system.evidence(|evidence| {
            evidence.remember(&seen.kind, Witness { system: name, value: id.to_string(), sent_at });
            evidence.measured(&seen.kind, now, Some(at_most));
        });
    }

    /// After a restart: the youngest object of this kind that was created at the EHR, by when it was sent.
    fn recollect(&self, system: &System, row: &SyncRow, kind: &str) -> Option<Witness> {
        let ledger = &self.translator.ledger;
        let from = ledger.head().saturating_sub(RECOLLECTED).max(1);
        let mut sent: BTreeMap<SyncId, Timestamp> = BTreeMap::new();
        let (mut youngest, mut last) = (None, Timestamp::MIN);
        for entry in ledger.entries(from, usize::try_from(RECOLLECTED).unwrap_or(usize::MAX)).ok()? {
            if entry.at < last {
                // The clock was set back: what was sent before is of unknown age.
                sent.clear();
                youngest = None;
            }
            last = entry.at;
            let draft = &entry.draft;
            let (Some(sync), Some(id)) = (&draft.sync_id, &draft.object_id) else { continue };
            if draft.system.as_ref() != Some(&row.system) || draft.object.as_ref() != Some(&row.object) {
                continue;
            }
            match &draft.fact {
                Fact::Attempted { interaction, part, .. } if interaction == "create" && part == MAIN => {
                    sent.insert(sync.clone(), entry.at);
                }
                Fact::Acknowledged { .. } => {
                    youngest = sent.remove(sync).map(|sent_at| (sent_at, id.clone())).or(youngest);
                }
                _ => _ = sent.remove(sync),
            }
        }
        let (sent_at, id) = youngest?;
        let age = Duration::try_from(self.translator.clock.now().duration_since(sent_at)).ok()?;
        let sent_at = sent_before(self.translator.clock.steady(), age);
        let witness = Witness { system: system.context.system(row.object.as_str()), value: id.to_string(), sent_at };
        system.evidence(|evidence| evidence.remember(kind, witness.clone()));
        Some(witness)
    }

    /// Looks for ours, and for a witness just before: what shows the younger one and not ours has moved past ours.
    async fn search(
        &self,
        system: &System,
        kind: &str,
        ours: (&str, &str),
        witness: Option<Witness>,
    ) -> Result<Sight, Failure> {
        let clock = &self.translator.clock;
        let look = |name: &str, value: &str| {
            let (name, value) = (name.to_owned(), value.to_owned());
            async move { system.ask_of_one(clock, system.client.by_identifier(kind, &name, &value)).await }
        };
        let mut shown = None;
        if let Some(witness) = &witness {
            let seen = look(&witness.system, &witness.value).await;
            shown = seen.is_ok_and(|seen| !seen.is_empty()).then_some(witness.sent_at);
        }
        let mut found = look(ours.0, ours.1).await?;
        found.dedup_by(|a, b| a.id == b.id);
        Ok(match (found.len(), found.pop()) {
            (1, Some(seen)) => Sight::Found(Box::new(seen)),
            (0, _) => Sight::Nothing { witness: shown },
            _ => Sight::Several,
        })
    }

    /// Remembers a created resource, and now and then how soon the EHR's search finds such a one.
    pub async fn witnessed(&self, system: &System, sent: &Value, seen: &Seen, sent_at: Duration) {
        // By what was sent: many answers have no body.
        let claim = identity::claimed(sent, &self.translator.instance);
        let Some((object, id)) = claim else { return };
        let (name, value) = (system.context.system(object.as_str()), id.to_string());
        let clock = &self.translator.clock;
        let wants = system.evidence(|evidence| {
            let at = sent_before(sent_at, Duration::ZERO);
            evidence.remember(&seen.kind, Witness { system: name.clone(), value: value.clone(), sent_at: at });
            evidence.wants_lag(&seen.kind, sent_at)
        });
        if !wants {
            return;
        }
        let found = system.ask_of_one(clock, system.client.by_identifier(&seen.kind, &name, &value)).await;
        if let Ok(found) = found {
            let now = clock.steady();
            let lag = now.saturating_sub(sent_at);
            system.evidence(|evidence| evidence.measured(&seen.kind, now, (!found.is_empty()).then_some(lag)));
        }
    }
}

/// When something was sent that is of this age now.
fn sent_before(now: Duration, age: Duration) -> SignedDuration {
    let signed = |time| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    signed(now).saturating_sub(signed(age))
}
