//! The end of the story: in plain words for people, as one JSON object for programs.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Value, json};

use super::{gateway::Gateway, judge::Verdict, play::Played};
use crate::cli::CouldNotRun;

/// All that is told.
pub struct Tale {
    pub played: Played,
    pub verdict: Verdict,
    /// All syncs as the gateway has them.
    pub syncs: Vec<Value>,
    /// What waits for a person.
    pub waiting: Vec<Value>,
    pub seconds: f64,
}

impl Tale {
    fn in_state(&self, state: &str) -> usize {
        self.syncs.iter().filter(|sync| sync["state"] == state).count()
    }

    /// Pushed objects that the EHR has.
    fn synced(&self) -> usize {
        self.pushed("synced").count()
    }

    /// Where the pushed objects are in this state.
    fn pushed<'t>(&'t self, state: &'t str) -> impl Iterator<Item = &'t Value> {
        let is_ours = |sync: &&Value| {
            let is =
                |(object, id): &(String, String)| sync["object"] == object.as_str() && sync["object_id"] == id.as_str();
            self.played.accepted.iter().any(is)
        };
        self.syncs.iter().filter(move |sync| sync["state"] == state).filter(is_ours)
    }

    /// What became of all that was handed over, so that nobody has to reckon.
    fn sum(&self, out: &mut String) -> std::fmt::Result {
        let (refused, arrived) = (self.played.refused.len(), self.synced());
        let all = self.played.accepted.len() + refused;
        let waiting = self.pushed("parked").count() + self.pushed("conflict").count();
        let under_way = all.saturating_sub(refused + arrived + waiting);
        writeln!(out, "{all} records were handed to the gateway in {:.1} s:\n", self.seconds)?;
        writeln!(out, "  {arrived:>5}  arrived at the EHR")?;
        writeln!(
            out,
            "  {refused:>5}  {} refused at once, so that the sender can mend {}",
            were(refused),
            them(refused)
        )?;
        writeln!(out, "  {waiting:>5}  {} for a person", if waiting == 1 { "waits" } else { "wait" })?;
        if under_way > 0 {
            writeln!(out, "  {under_way:>5}  {} still under way", if under_way == 1 { "is" } else { "are" })?;
        }
        writeln!(out, "  -----\n  {all:>5}  in all")
    }

    /// Whether something went wrong that must not.
    pub fn is_bad(&self) -> bool {
        let Verdict { lost, doubled, clobbered } = self.verdict;
        lost + doubled + clobbered > 0 || !self.played.surprises.is_empty()
    }

    /// CONTRACT, `liaison demo --once --output json`.
    pub fn json(&self) -> Value {
        json!({
            "pushed": self.played.accepted.len(), "synced": self.synced(), "pulled": self.played.pulled,
            "refused": self.played.refused.len(), "parked": self.in_state("parked"),
            "conflicts": self.in_state("conflict"), "lost": self.verdict.lost, "doubled": self.verdict.doubled,
            "clobbered": self.verdict.clobbered, "seconds": (self.seconds * 100.0).round() / 100.0,
        })
    }

    /// For people.
    pub fn text(&self, gateway: &Gateway) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _fits = self.write(gateway, &mut out);
        out
    }

    fn write(&self, gateway: &Gateway, out: &mut String) -> std::fmt::Result {
        let played = &self.played;
        self.sum(out)?;
        let mut systems: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        for sync in self.pushed("synced") {
            let (system, object) = (sync["system"].as_str(), sync["object"].as_str());
            *systems.entry(system.unwrap_or("?")).or_default().entry(object.unwrap_or("?")).or_default() += 1;
        }
        writeln!(out, "\nOn the way the EHR")?;
        for (what, count) in &played.faults {
            writeln!(out, "  {what}: {count} ×")?;
        }
        for (system, objects) in systems {
            let list: Vec<String> =
                objects.iter().map(|(object, count)| format!("{} × {count}", gateway.title(object))).collect();
            let count: usize = objects.values().sum();
            writeln!(out, "\nArrived at {system}: {count} ({})", list.join(", "))?;
        }
        let there = played.edits.len() + played.arrivals.len();
        writeln!(out, "\nChanges and new records made there and taken in here: {} of {there}", played.pulled)?;
        writeln!(out, "\nRefused at once, so that the sender can mend them: {}", played.refused.len())?;
        for (object, id, said, why) in &played.refused {
            writeln!(out, "  {} {id}: {said}\n    ({why})", gateway.title(object))?;
        }
        let about = |item: &&Value| {
            let same = |sync: &&Value| sync["object"] == item["object"] && sync["object_id"] == item["object_id"];
            self.pushed("parked").chain(self.pushed("conflict")).any(|sync| same(&sync))
        };
        let (all, held) = (self.waiting.len(), self.waiting.iter().filter(about).count());
        let others = all - held;
        writeln!(out, "\nWaiting for a person: {all} ({held} of the records above, {others} about what has arrived)")?;
        for item in &self.waiting {
            let text = |name: &str| item[name].as_str().unwrap_or_default();
            writeln!(out, "  {} {}: {}", gateway.title(text("object")), text("object_id"), text("title"))?;
            for field in item["fields"].as_array().into_iter().flatten() {
                writeln!(
                    out,
                    "    {}: here {}, there {}",
                    field["path"].as_str().unwrap_or("?"),
                    field["ours"],
                    field["theirs"]
                )?;
            }
            writeln!(out, "    {}", text("next_step"))?;
        }
        for surprise in &played.surprises {
            writeln!(out, "\nUNEXPECTED: {surprise}")?;
        }
        let Verdict { lost, doubled, clobbered } = self.verdict;
        writeln!(out, "\nJudged by the EHR's own history: lost {lost}, doubled {doubled}, overwritten {clobbered}")
    }
}

const fn were(count: usize) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

const fn them(count: usize) -> &'static str {
    if count == 1 { "it" } else { "them" }
}

/// What the gateway says at the end.
pub async fn tale(gateway: &Gateway, played: Played, verdict: Verdict, seconds: f64) -> Result<Tale, CouldNotRun> {
    let syncs = gateway.all("syncs").await?;
    let open = |item: &Value| item["status"] == "open" || item["status"] == "assigned";
    let waiting = gateway.all("worklist").await?.into_iter().filter(open).collect();
    Ok(Tale { played, verdict, syncs, waiting, seconds })
}
