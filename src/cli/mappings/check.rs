//! `liaison mappings check`: one line a mapping and dialect; a counterexample as a diff with the rule's line.

use std::{collections::BTreeSet, path::PathBuf};

use indicatif::ProgressBar;
use serde_json::json;

use super::{Common, examples};
use crate::{
    cli::{CouldNotRun, Exit, Output, Run, translate},
    laws::{self, Proofs, Report, Task},
    mapping::{ExampleFault, MappingError, Mappings, Mistake, Plan},
};

/// `liaison mappings check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Pairs for each base mapping; overlays take a tenth
    #[arg(long, default_value_t = laws::PAIRS as u64, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pairs: u64,
    /// The seed of chance
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// First write the FHIR side of examples in --mappings that have none yet, to be looked through
    #[arg(long, requires = "mappings")]
    write_examples: bool,
    /// Write the proofs to proofs.json in this folder, so that a start need not repeat them
    #[arg(long, value_name = "DIR")]
    write_proofs: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Run {
    if args.write_examples {
        examples::write(args.common.mappings.as_deref(), args.common.object.as_deref())?;
    }
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
    let pairs = usize::try_from(args.pairs).unwrap_or(usize::MAX);
    let share = |plan: &Plan| if plan.dialect() == "generic" { pairs } else { (pairs / 10).max(1) };
    let tasks: Vec<Task<'_>> = plans
        .iter()
        .filter_map(|plan| Some(Task { object: mappings.object(plan.object())?, plan, pairs: share(plan) }))
        .collect();
    let examples: Vec<(usize, Vec<ExampleFault>)> =
        tasks.iter().map(|task| task.plan.try_examples(task.object)).collect();
    let example_of = |report: &Report| {
        let of = |task: &Task<'_>| task.plan.object() == report.mapping && task.plan.dialect() == report.dialect;
        tasks.iter().position(of).map_or((0, &[][..]), |at| (examples[at].0, examples[at].1.as_slice()))
    };
    let reports = laws::prove_all(&tasks, args.seed, &|report| {
        bar.suspend(|| show(report, example_of(report), args.common.output));
        bar.inc(1);
    });
    bar.finish_and_clear();
    let mut proofs = Proofs::default();
    tasks
        .iter()
        .zip(&reports)
        .filter(|(_, report)| report.ok())
        .for_each(|(task, _)| proofs.add(task.plan, task.pairs));
    let bad = reports.iter().filter(|report| !report.ok() || !example_of(report).1.is_empty()).count();
    if args.common.output == Output::Text {
        let dialects: BTreeSet<&str> = plans.iter().map(|plan| plan.dialect()).collect();
        eprintln!("{} mappings in {} dialects, {bad} of them break a law or an example", plans.len(), dialects.len());
    }
    if let Some(folder) = &args.write_proofs {
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

fn show(report: &Report, (run, faults): (usize, &[ExampleFault]), output: Output) {
    if output == Output::Json {
        let mut line = report.json();
        line["ok"] = json!(report.ok() && faults.is_empty());
        line["examples"] = json!({ "run": run, "failed": faults });
        crate::cli::say!("{line}");
        return;
    }
    let pairs = report.laws.values().map(|verdict| verdict.pairs).max().unwrap_or(0);
    let state = if report.ok() && faults.is_empty() { "ok  " } else { "FAIL" };
    crate::cli::say!(
        "{state} {} ({}), {pairs} pairs{}, {run} examples",
        report.mapping,
        report.dialect,
        too_few(report, pairs)
    );
    for fault in faults {
        crate::cli::say!("     example {}/examples/{}, {}:", report.mapping, fault.example, fault.what);
        for (path, wanted, got) in fault.differences.iter().take(5) {
            crate::cli::say!("       at {path}\n         - {wanted}\n         + {got}");
        }
    }
    for (law, verdict) in report.laws.iter().filter(|(_, verdict)| verdict.failed > 0) {
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

/// Said where chance made too few pairs that can be sent.
fn too_few(report: &Report, pairs: usize) -> String {
    if pairs >= report.wanted {
        return String::new();
    }
    format!(" of {} wanted: too many objects cannot be sent ({} refused)", report.wanted, report.unsayable)
}
