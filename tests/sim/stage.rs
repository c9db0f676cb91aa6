//! One gateway and its EHRs, led by hand through virtual time: for what is measured and not drawn.

use std::{sync::Arc, time::Duration};

use liaison::{
    domain::ObjectId,
    ledger::{Ledger, WorkFilter},
    sync::{Accept, Action, Change, Condition, Engine, Error, SystemConfig, SystemStatus, Update},
};
use serde_json::Value;
use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    ehr::SimEhr,
    plan::Plan,
    quirk::Quirk,
    time::Life,
    world::{World, is_open, name, object},
};

pub struct Stage {
    pub world: World,
    pub ledger: Ledger,
    pub engine: Engine,
    workers: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
}

/// When something was shown, counted from a moment.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// On the worklist, and the item.
    pub item: Option<(Duration, Value)>,
    /// In `/readyz`: the system is down.
    pub down: Option<Duration>,
}

/// Leads a gateway among EHRs with these quirks, otherwise in their right mind, under a configuration that differs from the default so.
pub fn on_stage<T>(quirks: Vec<Quirk>, adjust: fn(&mut SystemConfig), play: impl AsyncFnOnce(&mut Stage) -> T) -> T {
    let plan = Plan { seed: 3, ehrs: 1, things: Vec::new(), quirks, sets_back: false, steps: Vec::new() };
    let mut world = World::new(&plan, std::env::var("SIM_TRACE").is_ok());
    world.adjust = adjust;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        world.time.enter();
        let mut stage = Stage::begin(world);
        let done = play(&mut stage).await;
        stage.end().await;
        for line in stage.world.trace.lines() {
            println!("{line}");
        }
        done
    })
}

impl Stage {
    fn begin(world: World) -> Self {
        let (ledger, engine, workers, stop) = start(&world);
        Self { world, ledger, engine, workers, stop }
    }

    /// Stopped in good order.
    pub async fn end(&mut self) {
        drop(self.stop.take());
        (&mut self.workers).await.expect("the workers end");
    }

    /// Stopped in good order, and started.
    pub async fn restart(&mut self) {
        self.end().await;
        self.world.disk.crash(false);
        (self.ledger, self.engine, self.workers, self.stop) = start(&self.world);
    }

    pub fn ehr(&self) -> Arc<SimEhr> {
        self.world.ehrs[0].clone()
    }

    pub fn now(&self) -> Duration {
        self.world.time.elapsed()
    }

    pub async fn sleep(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    pub async fn push(&self, kind: &str, body: Value, lenient: bool) -> Result<String, Error> {
        let accept = Accept { object: name(kind), body, key: key(), by: "sim".to_owned(), lenient };
        Ok(self.engine.accept(accept).await?.id.to_string())
    }

    /// A client changes something.
    pub async fn change(&self, kind: &str, id: &str, patch: Value) {
        let body = object(&self.ledger, kind, id).expect("readable").expect("there");
        let update = Update {
            object: name(kind),
            id: ObjectId::new(id).expect("an id"),
            expected: body["version"].as_u64().expect("a version"),
            change: Change::Merge(patch),
            key: None,
            by: "sim".to_owned(),
            lenient: false,
        };
        self.engine.update(update).await.expect("accepted");
    }

    pub async fn dismiss(&self, item: &Value) {
        let id = item["id"].as_str().expect("an id");
        let action = Action::Dismiss { reason: "not needed".to_owned(), send_without: false };
        self.engine.act(id, action, "eve").await.expect("taken");
    }

    /// How the EHR is, as `/readyz` says.
    pub fn status(&self) -> SystemStatus {
        self.engine.systems().expect("readable").remove(0)
    }

    /// All items there ever were.
    pub fn items(&self) -> Vec<Value> {
        let rows = self.ledger.items(&WorkFilter { limit: 10_000, ..WorkFilter::default() }).expect("readable");
        rows.iter().map(|row| self.ledger.item_json(row).expect("readable")).collect()
    }

    /// The state of a sync.
    pub fn state(&self, kind: &str, id: &str) -> String {
        let rows = self.ledger.syncs_of(&name(kind), &ObjectId::new(id).expect("an id")).expect("readable");
        rows.first().map(|row| row.state().as_str().to_owned()).unwrap_or_default()
    }

    /// Until a sync is there.
    pub async fn synced(&self, kind: &str, id: &str) {
        for _ in 0..600 {
            if self.state(kind, id) == "synced" {
                return;
            }
            self.sleep(1).await;
        }
        panic!("{kind} {id} is {} after ten minutes: {:?}", self.state(kind, id), self.items());
    }

    /// Waits until an open item is of this sort, `most` at most; everything is counted from `begin`. Where the EHR as a whole is in
    /// trouble, also until that is told.
    pub async fn shown(&self, begin: Duration, most: Duration, is_it: impl Fn(&Value) -> bool) -> Seen {
        let mut seen = Seen::default();
        let mut head = self.ledger.watch();
        let mut looked = 0;
        loop {
            let passed = self.now() - begin;
            if seen.down.is_none() && self.status().condition == Condition::Down {
                seen.down = Some(passed);
            }
            if looked != self.ledger.head() {
                looked = self.ledger.head();
                let item = self.items().into_iter().find(|item| is_open(item) && is_it(item));
                seen.item = item.map(|item| (passed, item));
            }
            if seen.item.is_some() || passed >= most {
                return seen;
            }
            // An EHR that is not down after ten minutes will not be.
            let step = if seen.down.is_none() && passed.as_secs() < 600 { 1 } else { 60 };
            tokio::select! {
                _ = head.changed() => {}
                () = tokio::time::sleep(Duration::from_secs(step).min(most - passed)) => {}
            }
        }
    }
}

type Started = (Ledger, Engine, JoinHandle<()>, Option<oneshot::Sender<()>>);

/// A life that ends by being stopped.
fn start(world: &World) -> Started {
    let (ledger, engine) = world.open(&Arc::new(Life::new())).expect("a gateway that starts");
    let (stop, stopped) = oneshot::channel::<()>();
    let running = engine.clone();
    let workers = tokio::spawn(async move { running.run(async { drop(stopped.await) }).await });
    (ledger, engine, workers, Some(stop))
}

/// A key that was not used.
fn key() -> liaison::sync::Key {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    liaison::sync::Key { scope: "sim".to_owned(), key: format!("stage-{}", NEXT.fetch_add(1, Ordering::Relaxed)) }
}
