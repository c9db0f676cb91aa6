//! `liaison mappings check`: one line a mapping and dialect; a counterexample as a diff with the rule's line.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use indicatif::ProgressBar;
use serde_json::json;

use super::Common;
use crate::{
    cli::{CouldNotRun, Exit, Output, Run, translate},
    laws::{self, Proofs, Report},
    mapping::{MappingError, Mappings, Mistake},
};

/// `liaison mappings check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Pairs for each base mapping; overlays take a tenth
    #[arg(long, default_value_t = laws::PAIRS)]
    pairs: usize,
    /// The seed of chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the proofs to proofs.json in this folder, so that a start need not repeat them
    #[arg(long, value_name = "DIR")]
    write_proofs: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Run {
    let mappings = match args.common.mappings.as_deref() {
        Some(dir) => Mappings::load(dir),
        None => Mappings::embedded(),
    };
    let mappings = match mappings {
        Ok(mappings) => mappings,
        Err(MappingError::Mistakes(mistakes)) => {
            mistakes.iter().for_each(|mistake| tell_mistake(mistake, args.common.output));
            return Ok(Exit::Bad);
        }
        Err(error) => return Err(CouldNotRun::from_error(&error, "")),
    };
    if let Some(name) = &args.common.object
        && mappings.object(name).is_none()
    {
        return Err(translate::unknown_object(&mappings, name));
    }
    let plans: Vec<_> =
        mappings.plans().filter(|plan| args.common.object.as_ref().is_none_or(|name| plan.object() == name)).collect();
    let bar =
        if args.common.output == Output::Text { ProgressBar::new(plans.len() as u64) } else { ProgressBar::hidden() };
    let (next, bad) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let proofs = Mutex::new(Proofs::default());
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(plans.len()) {
            scope.spawn(|| {
                while let Some(plan) = plans.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Some(object) = mappings.object(plan.object()) else { continue };
                    let pairs = if plan.dialect() == "generic" { args.pairs } else { (args.pairs / 10).max(1) };
                    let report = laws::prove(object, plan, pairs, args.seed);
                    bar.suspend(|| show(&report, args.common.output));
                    bar.inc(1);
                    if report.ok() {
                        proofs.lock().unwrap_or_else(PoisonError::into_inner).add(plan, pairs);
                    } else {
                        bad.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    bar.finish_and_clear();
    let bad = bad.into_inner();
    if args.common.output == Output::Text {
        let dialects: BTreeSet<&str> = plans.iter().map(|plan| plan.dialect()).collect();
        eprintln!("{} mappings in {} dialects, {bad} of them break a law", plans.len(), dialects.len());
    }
    if let Some(folder) = &args.write_proofs {
        let proofs = proofs.into_inner().unwrap_or_else(PoisonError::into_inner);
        proofs.write(folder).map_err(|error| CouldNotRun::new(format!("{}: {error}", folder.display()), ""))?;
    }
    Ok(if bad == 0 { Exit::Good } else { Exit::Bad })
}

fn tell_mistake(mistake: &Mistake, output: Output) {
    match output {
        Output::Text => crate::cli::say!("{mistake}"),
        Output::Json => crate::cli::say!("{}", json!({ "ok": false, "mistake": mistake })),
    }
}

fn show(report: &Report, output: Output) {
    if output == Output::Json {
        crate::cli::say!("{}", report.json());
        return;
    }
    let pairs = report.laws.values().map(|verdict| verdict.pairs).max().unwrap_or(0);
    let state = if report.ok() { "ok  " } else { "FAIL" };
    crate::cli::say!("{state} {} ({}), {pairs} pairs", report.mapping, report.dialect);
    for (law, verdict) in report.laws.iter().filter(|(_, verdict)| verdict.failed > 0 || verdict.pairs == 0) {
        crate::cli::say!("     {}: {} of {} pairs", law.name(), verdict.failed, verdict.pairs);
        let Some(found) = &verdict.counterexample else { continue };
        if let Some(rule) = &found.rule {
            crate::cli::say!("       rule {rule}");
        }
        for (path, wanted, got) in found.differences.iter().take(5) {
            crate::cli::say!("       at {path}\n         - {wanted}\n         + {got}");
        }
        crate::cli::say!("       object   {}", found.object);
        if let Some(earlier) = &found.earlier {
            crate::cli::say!("       after    {earlier}");
        }
        for part in &found.base {
            crate::cli::say!("       into     {}", part.resource);
        }
    }
}
