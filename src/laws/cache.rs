//! Proofs that were made already, by the hash of all that they depend on: mapping, overlay, code lists, schema (the plan's
//! version), and what was compiled from them with FHIR's types, so that a core pack that changes nothing here costs none. The embedded mappings' proofs are a file beside them, so that a start costs nothing.

use std::{collections::BTreeMap, path::Path};

use sha2::{Digest, Sha256};

use super::{OVERLAY_PAIRS, PAIRS, Task, prove::Report, prove_all};
use crate::{
    embedded,
    mapping::{MappingError, Mappings, Plan},
};

/// Raised when laws, generators or the running of mappings change so that old proofs no longer count.
const EDITION: u32 = 3;

/// The file of proofs in a folder of mappings or a cache folder.
pub const FILE: &str = "proofs.json";

/// Object and dialect → what was proven.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Proofs(BTreeMap<String, Proof>);

/// One plan's proof.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Proof {
    /// Hash of all that it depends on.
    of: String,
    /// On how many pairs.
    pairs: usize,
}

impl Proofs {
    /// Those that are built into the binary.
    #[must_use]
    pub fn embedded() -> Self {
        let bytes = embedded::find(embedded::MAPPINGS, FILE).unwrap_or(b"{}");
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    /// Those of a cache folder; none if there is no such file or it cannot be read.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        std::fs::read(folder.join(FILE)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Writes them to a folder.
    ///
    /// # Errors
    /// As writing a file.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(folder.join(FILE), text)
    }

    /// Whether this very plan was proven.
    #[must_use]
    pub fn holds(&self, plan: &Plan) -> bool {
        self.0.get(&name(plan)).is_some_and(|proof| proof.of == hash(plan))
    }

    /// Notes a proof.
    pub fn add(&mut self, plan: &Plan, pairs: usize) {
        self.0.insert(name(plan), Proof { of: hash(plan), pairs });
    }

    /// Takes over what `other` knows of a plan.
    fn keep(&mut self, plan: &Plan, other: &Self) {
        if let Some(proof) = other.0.get(&name(plan)).filter(|_| other.holds(plan)) {
            self.0.insert(name(plan), proof.clone());
        }
    }
}

fn name(plan: &Plan) -> String {
    format!("{}/{}", plan.object(), plan.dialect())
}

fn hash(plan: &Plan) -> String {
    let mut hash = Sha256::new();
    hash.update(EDITION.to_be_bytes());
    hash.update(plan.version());
    plan.digest(&mut |compiled| hash.update(compiled));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How many pairs a plan is tried on.
#[must_use]
pub fn pairs(plan: &Plan) -> usize {
    if plan.dialect() == "generic" { PAIRS } else { OVERLAY_PAIRS }
}

/// Proves every plan that is not proven yet. Returns all proofs, and the reports of those that failed.
fn prove_open(mappings: &Mappings, known: &Proofs) -> (Proofs, Vec<Report>) {
    let open: Vec<_> = mappings
        .plans()
        .filter(|plan| !known.holds(plan))
        .filter_map(|plan| Some((mappings.object(plan.object())?, plan)))
        .collect();
    let mut proofs = Proofs::default();
    mappings.plans().for_each(|plan| proofs.keep(plan, known));
    let tasks: Vec<Task<'_>> = open.iter().map(|(object, plan)| Task { object, plan, pairs: pairs(plan) }).collect();
    let mut failed = Vec::new();
    for (task, report) in tasks.iter().zip(prove_all(&tasks, 1, &|_| {})) {
        if report.ok() { proofs.add(task.plan, task.pairs) } else { failed.push(report) }
    }
    (proofs, failed)
}

/// Lets mappings pass only if their laws hold: by the embedded proofs, those of `cache`, or by proving now (and noting it
/// in `cache`).
///
/// # Errors
/// [`MappingError::Laws`] naming mapping, law and rule of each failure.
pub fn proven(mappings: &Mappings, cache: Option<&Path>) -> Result<(), MappingError> {
    let embedded = Proofs::embedded();
    if mappings.plans().all(|plan| embedded.holds(plan)) {
        return Ok(());
    }
    let mut known = cache.map(Proofs::read).unwrap_or_default();
    mappings.plans().for_each(|plan| known.keep(plan, &embedded));
    let (proofs, failed) = prove_open(mappings, &known);
    if failed.is_empty() {
        if let Some(folder) = cache {
            // A cache that cannot be written only costs time at the next start.
            let _ = proofs.write(folder);
        }
        return Ok(());
    }
    Err(MappingError::Laws(failed.iter().map(told).collect::<Vec<_>>().join("; ")))
}

fn told(report: &Report) -> String {
    let broken = report.laws.iter().filter(|(_, verdict)| verdict.failed > 0 || verdict.pairs < report.wanted);
    let laws: Vec<String> = broken
        .map(|(law, verdict)| {
            let rule = verdict.counterexample.as_ref().and_then(|found| found.rule.clone()).unwrap_or_default();
            format!("{} on {} of {} pairs {rule}", law.name(), verdict.failed, verdict.pairs)
        })
        .collect();
    format!("{} ({}): {}", report.mapping, report.dialect, laws.join(", "))
}
