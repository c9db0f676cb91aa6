//! Time and chance as arguments. The only place (with `app`) that reads the system's clock or makes random
//! numbers; everything else takes a `&dyn Clock` or a value.

mod ages;

use std::{
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

pub use ages::Ages;

/// Where the time and chance come from.
pub trait Clock: Send + Sync + 'static {
    /// The current instant (wall clock; may jump).
    fn now(&self) -> Timestamp;
    /// Time that only passes, since some beginning of this process: for measuring how long something took. It knows
    /// nothing of jumps of the wall clock, and nothing of other processes.
    fn steady(&self) -> Duration;
    /// A random number in `0.0..1.0`.
    fn chance(&self) -> f64;
    /// A new time-ordered id (UUIDv7, RFC 9562).
    fn new_id(&self) -> uuid::Uuid;
}

/// Shared handle to a clock.
pub type SharedClock = Arc<dyn Clock>;

/// The system's clock and randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
    fn steady(&self) -> Duration {
        static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGIN.elapsed()
    }
    fn chance(&self) -> f64 {
        fastrand::f64()
    }
    fn new_id(&self) -> uuid::Uuid {
        uuid::Uuid::now_v7()
    }
}

/// A clock that stands still until told to move, with seeded chance: for tests and reproducible demos.
#[derive(Debug)]
pub struct ManualClock {
    inner: Mutex<(Timestamp, fastrand::Rng, Duration)>,
}

impl ManualClock {
    /// Starts at `now`; the same seed gives the same chances and ids.
    #[must_use]
    pub fn new(now: Timestamp, seed: u64) -> Self {
        Self { inner: Mutex::new((now, fastrand::Rng::with_seed(seed), Duration::ZERO)) }
    }

    /// Moves the clock, forwards or back. Forwards, that time has passed.
    pub fn advance(&self, by: SignedDuration) {
        let mut inner = self.lock();
        inner.0 = inner.0.checked_add(by).unwrap_or(inner.0);
        inner.2 += Duration::try_from(by).unwrap_or_default();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Timestamp, fastrand::Rng, Duration)> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.lock().0
    }
    fn steady(&self) -> Duration {
        self.lock().2
    }
    fn chance(&self) -> f64 {
        self.lock().1.f64()
    }
    fn new_id(&self) -> uuid::Uuid {
        let mut inner = self.lock();
        let millis = u64::try_from(inner.0.as_millisecond()).unwrap_or_default();
        let mut random = [0_u8; 10];
        inner.1.fill(&mut random);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}
