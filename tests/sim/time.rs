//! The world's one time: tokio's paused clock, carried on over the runtimes of one world (each start of the gateway has its own),
//! and the gateway's clock, which may be wrong. Chance and ids come from the seed.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use liaison::clock::Clock;
use tokio::time::Instant;

/// When every world begins.
const BEGIN: i64 = 1_780_308_000;

/// The time since the world began.
#[derive(Debug, Default)]
pub struct Time(Mutex<(Duration, Option<Instant>)>);

impl Time {
    fn held(&self) -> std::sync::MutexGuard<'_, (Duration, Option<Instant>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A runtime begins: called within it.
    pub fn enter(&self) {
        self.held().1 = Some(Instant::now());
    }

    /// Called within the runtime at its end.
    pub fn leave(&self) {
        let now = self.elapsed();
        *self.held() = (now, None);
    }

    pub fn elapsed(&self) -> Duration {
        let held = self.held();
        match held.1 {
            Some(since) if tokio::runtime::Handle::try_current().is_ok() => held.0 + since.elapsed(),
            _ => held.0,
        }
    }

    pub fn now(&self) -> Timestamp {
        let begin = Timestamp::from_second(BEGIN).expect("an instant");
        begin.checked_add(SignedDuration::try_from(self.elapsed()).expect("short")).expect("in range")
    }
}

/// A clock of one party: the world's time and so many milliseconds more or less.
pub struct SimClock {
    time: Arc<Time>,
    skew_ms: AtomicI64,
    chance: Mutex<fastrand::Rng>,
}

impl SimClock {
    pub fn new(time: Arc<Time>, seed: u64) -> Self {
        Self { time, skew_ms: AtomicI64::new(0), chance: Mutex::new(fastrand::Rng::with_seed(seed)) }
    }

    pub fn jump(&self, by_ms: i64) {
        self.skew_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let skew = SignedDuration::from_millis(self.skew_ms.load(Ordering::Relaxed));
        self.time.now().checked_add(skew).expect("in range")
    }

    fn steady(&self) -> Duration {
        self.time.elapsed()
    }

    fn chance(&self) -> f64 {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }

    fn new_id(&self) -> uuid::Uuid {
        let mut random = [0_u8; 10];
        self.chance.lock().unwrap_or_else(PoisonError::into_inner).fill(&mut random);
        let millis = u64::try_from(self.now().as_millisecond()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

/// One start of the gateway, up to its end. It may end at any moment, and at any effect on the outside: at each, the fuse burns down by one.
/// What a dead process would still have done has no effect. That is as much as ending at every poll: between two effects nothing outside
/// can tell one poll from another, but for the time at which it is started again.
#[derive(Debug)]
pub struct Life {
    fuse: AtomicI64,
    died: tokio::sync::Notify,
}

impl Life {
    pub fn new() -> Self {
        Self { fuse: AtomicI64::new(i64::MAX), died: tokio::sync::Notify::new() }
    }

    /// It dies at the effect after so many more.
    pub fn light(&self, effects: i64) {
        self.fuse.store(effects.max(1), Ordering::Relaxed);
    }

    /// It dies at once.
    pub fn die(&self) {
        self.fuse.store(0, Ordering::Relaxed);
        self.died.notify_one();
    }

    /// An effect: whether it is still carried out.
    pub fn effect(&self) -> bool {
        let before = self.fuse.load(Ordering::Relaxed);
        if before <= 0 {
            return false;
        }
        if before != i64::MAX {
            self.fuse.store(before - 1, Ordering::Relaxed);
        }
        if before == 1 {
            self.died.notify_one();
            return false;
        }
        true
    }

    pub fn is_dead(&self) -> bool {
        self.fuse.load(Ordering::Relaxed) <= 0
    }

    pub async fn died(&self) {
        if !self.is_dead() {
            self.died.notified().await;
        }
    }
}
