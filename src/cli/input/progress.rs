//! A progress bar over the bytes that are read, on a terminal only, and only where the work takes its time.

use std::{
    io::{IsTerminal, Read},
    sync::OnceLock,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is done sooner needs no bar.
const SOON: Duration = Duration::from_millis(400);

/// A bar that appears when work takes longer than a moment.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    begun: Instant,
    wanted: bool,
    shown: OnceLock<()>,
}

impl Progress {
    /// On stderr, where that is a terminal.
    #[must_use]
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self { bar, begun: Instant::now(), wanted: std::io::stderr().is_terminal(), shown: OnceLock::new() }
    }

    /// One that is never seen.
    #[must_use]
    pub fn hidden() -> Self {
        Self { wanted: false, ..Self::new() }
    }

    /// How many bytes are to come, if that is known.
    pub(super) fn expect(&self, bytes: Option<u64>) {
        let template = match bytes {
            Some(bytes) => {
                self.bar.set_length(bytes);
                "{bar:32} {bytes}/{total_bytes}  {bytes_per_sec}, {eta} left"
            }
            None => "{spinner} {bytes} read  {bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
    }

    /// A reader whose bytes move the bar.
    pub(super) fn watch<'p>(&'p self, reader: Box<dyn Read + 'p>) -> Box<dyn Read + 'p> {
        Box::new(Watched { reader, progress: self })
    }

    fn moved(&self, bytes: u64) {
        if !self.wanted {
            return;
        }
        if self.shown.get().is_none() && self.begun.elapsed() > SOON {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            let _first = self.shown.set(());
        }
        self.bar.inc(bytes);
    }

    /// Writes to the terminal without tearing the bar.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        if self.shown.get().is_some() { self.bar.suspend(write) } else { write() }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

struct Watched<'p> {
    reader: Box<dyn Read + 'p>,
    progress: &'p Progress,
}

impl Read for Watched<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.reader.read(into)?;
        self.progress.moved(read as u64);
        Ok(read)
    }
}
