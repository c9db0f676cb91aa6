//! What happened in a world, line by line; kept only where somebody will read it.

use std::sync::{Arc, Mutex, PoisonError};

use super::time::Time;

pub struct Trace {
    time: Arc<Time>,
    on: bool,
    lines: Mutex<Vec<String>>,
}

impl Trace {
    pub fn new(time: Arc<Time>, on: bool) -> Self {
        Self { time, on, lines: Mutex::default() }
    }

    pub fn say(&self, line: impl FnOnce() -> String) {
        if !self.on {
            return;
        }
        let at = self.time.elapsed();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < 20_000 {
            lines.push(format!("{:>9.3} {}", at.as_secs_f64(), line()));
        }
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
