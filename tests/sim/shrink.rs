//! A failing plan made shorter while it still fails in the same way: quirks, steps and things are left out.

use super::{judged, plan::Plan, run::run};

/// Runs at most so many times.
const TRIES: usize = 120;

fn fails(plan: &Plan, kind: &str) -> bool {
    if kind == "nondeterministic" {
        return judged(plan).1.as_deref() == Some(kind);
    }
    run(plan, false).verdicts.iter().any(|verdict| verdict.kind == kind)
}

/// The shortest that was found.
pub fn shrunk(plan: &Plan, kind: &str) -> Plan {
    let mut best = plan.clone();
    let mut tries = 0;
    loop {
        let before = (best.quirks.len(), best.steps.len());
        // Halves first, then one by one.
        let mut size = best.steps.len() / 2;
        while size > 0 {
            let mut at = 0;
            while at < best.steps.len() && tries < TRIES {
                let mut less = best.clone();
                less.steps.drain(at..(at + size).min(less.steps.len()));
                tries += 1;
                if fails(&less, kind) { best = less } else { at += size }
            }
            size /= 2;
        }
        let mut at = 0;
        while at < best.quirks.len() && tries < TRIES {
            let mut less = best.clone();
            less.quirks.remove(at);
            tries += 1;
            if fails(&less, kind) { best = less } else { at += 1 }
        }
        if (best.quirks.len(), best.steps.len()) == before || tries >= TRIES {
            return best;
        }
    }
}

/// Prints a failing plan, shortened, with its trace.
pub fn show(plan: &Plan, kind: &str) {
    let plan = shrunk(plan, kind);
    let ran = run(&plan, true);
    println!("{plan}");
    let most = 160;
    let lines = &ran.lines;
    // The end of a trace is mostly the empty rounds of fetching; what matters comes before the first verdict.
    let end = lines.iter().position(|line| line.contains("!!!")).map_or(lines.len(), |at| at + 1);
    let quiet = |line: &&String| !(line.contains("GET Patient?_") || line.contains("GET Appointment?_"));
    let shown: Vec<&String> = lines[..end].iter().filter(quiet).collect();
    for line in &shown[shown.len().saturating_sub(most)..] {
        println!("{line}");
    }
    println!("{:#?}", ran.verdicts);
}
