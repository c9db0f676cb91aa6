//! Many plans proven at once on all cores: in slices, the longest plans first, so that no core is idle at the end.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use super::prove::{self, Report, Tally};
use crate::mapping::{ObjectType, Plan};

/// A plan to be proven.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// Whose plan it is.
    pub object: &'a ObjectType,
    /// The plan.
    pub plan: &'a Plan,
    /// On how many pairs.
    pub pairs: usize,
}

/// What is still missing of a task.
struct Open {
    left: AtomicUsize,
    tallies: Mutex<Vec<(usize, Tally)>>,
}

/// Proves all tasks; `done` hears of each report when it is made. The reports come in the order of the tasks.
pub fn prove_all(tasks: &[Task<'_>], seed: u64, done: &(dyn Fn(&Report) + Sync)) -> Vec<Report> {
    let mut slices: Vec<(usize, usize, usize)> = Vec::new();
    let mut open = Vec::with_capacity(tasks.len());
    for (task, Task { pairs, .. }) in tasks.iter().enumerate() {
        let own: Vec<(usize, usize)> = prove::slices(*pairs).collect();
        open.push(Open { left: AtomicUsize::new(own.len()), tallies: Mutex::default() });
        slices.extend(own.into_iter().map(|(number, count)| (task, number, count)));
    }
    slices.sort_by_key(|(task, number, _)| (std::cmp::Reverse(tasks[*task].pairs), *task, *number));
    let next = AtomicUsize::new(0);
    let reports: Mutex<Vec<(usize, Report)>> = Mutex::default();
    let work = || {
        while let Some((at, number, count)) = slices.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Task { object, plan, pairs } = tasks[*at];
            let tally = prove::tally(object, plan, plan, *count, seed, *number);
            let open = &open[*at];
            open.tallies.lock().unwrap_or_else(PoisonError::into_inner).push((*number, tally));
            if open.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                let mut tallies = std::mem::take(&mut *open.tallies.lock().unwrap_or_else(PoisonError::into_inner));
                tallies.sort_by_key(|(number, _)| *number);
                let tallies = tallies.into_iter().map(|(_, tally)| tally).collect();
                let report = prove::conclude(object, plan, plan, pairs, tallies);
                done(&report);
                reports.lock().unwrap_or_else(PoisonError::into_inner).push((*at, report));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(slices.len()) {
            scope.spawn(work);
        }
    });
    let mut reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    reports.sort_by_key(|(at, _)| *at);
    reports.into_iter().map(|(_, report)| report).collect()
}
