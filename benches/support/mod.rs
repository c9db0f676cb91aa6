//! What the benches share: two pieces of work timed in turns (`versus`), so that a busy machine slows both alike, and a
//! table of figures against targets. Nothing fails by time unless `LIAISON_BENCH_STRICT` is set: then a missed target
//! ends the run with exit code 1.
#![allow(dead_code, reason = "each bench uses a part")]

pub mod fixtures;
pub mod wide;
pub mod wire;

#[path = "../../tests/support/beside.rs"]
#[expect(dead_code, reason = "benches measure no peers")]
mod beside;

use std::{fs, path::PathBuf};

use rustix::time::{ClockId, clock_gettime};

/// As in the binary, so that what is measured is what runs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A sample lasts at least this long, so that the clock's own cost vanishes.
const SAMPLE_S: f64 = 0.004;

/// Medians over interleaved samples.
#[derive(Clone, Copy, Debug)]
pub struct Versus {
    /// Seconds of one run of the first work.
    pub a_s: f64,
    /// Seconds of one run of the second work.
    pub b_s: f64,
    /// Median of the samples' ratios, first ÷ second.
    pub ratio: f64,
}

/// Times `a` against `b` in turns, `samples` times (odd is best).
pub fn versus(samples: usize, mut a: impl FnMut(), mut b: impl FnMut()) -> Versus {
    let (a_runs, b_runs) = (runs(&mut a), runs(&mut b));
    let (mut of_a, mut of_b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..samples {
        let (one, other) = (time(a_runs, &mut a), time(b_runs, &mut b));
        of_a.push(one);
        of_b.push(other);
        ratios.push(one / other);
    }
    Versus { a_s: median(&mut of_a), b_s: median(&mut of_b), ratio: median(&mut ratios) }
}

/// How often to run within one sample; also warms up.
fn runs(work: &mut impl FnMut()) -> usize {
    let mut count = 1;
    loop {
        let taken = time(count, work) * count as f64;
        if taken >= SAMPLE_S {
            return count;
        }
        count = if taken <= 0.0 { count * 8 } else { (count as f64 * (SAMPLE_S * 1.2 / taken)).ceil() as usize };
    }
}

/// Seconds of one run on this thread's processor, the mean of `count`. Time that other programs had is not counted, so
/// that a busy machine disturbs little; work that waits or uses other threads needs another clock.
pub fn time(count: usize, work: &mut impl FnMut()) -> f64 {
    let start = processor_s();
    for _ in 0..count {
        work();
    }
    (processor_s() - start) / count as f64
}

/// Seconds that this thread has had of a processor.
fn processor_s() -> f64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}

/// Seconds that this process, all its threads together, has had of the processors.
pub fn process_s() -> f64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}

/// A size from the environment, or the default.
pub fn size(name: &str, default: usize) -> usize {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// The middle value.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Figures against targets.
pub struct Table {
    missed: usize,
}

impl Table {
    /// Begins with a title.
    pub fn new(title: &str) -> Self {
        println!("\n{title}\n{:<62} {:>10} {:>8} {:>8}", "", "measured", "target", "aim");
        Self { missed: 0 }
    }

    /// A figure that should be small. Without a target it is only told.
    pub fn most(&mut self, what: &str, value: f64, unit: &str, target: Option<f64>, aim: Option<f64>) {
        self.row(what, value, unit, target, aim, |value, bound| value <= bound);
    }

    /// A figure that should be large.
    pub fn least(&mut self, what: &str, value: f64, unit: &str, target: Option<f64>, aim: Option<f64>) {
        self.row(what, value, unit, target, aim, |value, bound| value >= bound);
    }

    fn row(
        &mut self,
        what: &str,
        value: f64,
        unit: &str,
        target: Option<f64>,
        aim: Option<f64>,
        good: fn(f64, f64) -> bool,
    ) {
        let shown = |bound: Option<f64>| bound.map_or(String::new(), |bound| format!("{bound}"));
        let verdict = match (target, aim) {
            (Some(target), _) if !good(value, target) => "MISSED",
            (_, Some(aim)) if !good(value, aim) => "short of the aim",
            (None, None) => "",
            _ => "ok",
        };
        self.missed += usize::from(verdict == "MISSED");
        let figure = format!("{value:.2} {unit}");
        println!("{what:<62} {figure:>10} {:>8} {:>8}  {verdict}", shown(target), shown(aim));
    }

    /// A line of text among the figures.
    pub fn note(&self, text: &str) {
        println!("    {text}");
    }

    /// Ends; with `LIAISON_BENCH_STRICT` set, a missed target ends the process with 1.
    pub fn finish(self) {
        if self.missed > 0 {
            println!("{} target(s) missed", self.missed);
            if std::env::var_os("LIAISON_BENCH_STRICT").is_some() {
                std::process::exit(1);
            }
        }
    }
}

/// Whether this run is cargo's check that benches start (`cargo test --benches`), which measures nothing.
pub fn only_checked() -> bool {
    std::env::args().any(|arg| arg == "--test")
}

/// Whether `name` was asked for on the command line (`cargo bench --bench validate -- NAME…`); all if none was.
pub fn asked(name: &str) -> bool {
    let mut names = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).peekable();
    names.peek().is_none() || names.any(|arg| name.contains(arg.as_str()))
}

/// A file or folder of the test data that others made; whoever asks where it is missing goes without, and that is said.
pub fn shared(path: &str) -> Option<PathBuf> {
    beside::shared(path)
}

/// Resident memory of a process in KiB; `self` for this one.
pub fn memory_kib(process: &str, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0)
}
