//! Runs a world to its end: life after life of the gateway, the script, the healing, people who answer everything, a quiet time.

mod clients;
mod people;
mod phases;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use liaison::{
    ledger::{Answer, Ledger},
    sync::{Engine, Error},
};
use serde_json::Value;
use tokio::{
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};

use super::{
    coverage, judge,
    plan::{Field, HEAL_S, Plan, Step},
    time::Life,
    world::{GIVE_UP_S, Press, Verdict, World},
};

/// After healing, so long at most until people begin to answer.
const CALM_S: u64 = 900;
/// People answer so often, and wait so long at most in between.
const ROUNDS: u32 = 10;
const ROUND_S: u64 = 420;
/// At the end nothing happens for twenty rounds, then the gateway is stopped and started, and nothing happens for as many more (R22). A
/// sweep is made in each tenth round. In three of four worlds it is twelve rounds and then five.
const QUIET_S: [[u64; 2]; 4] = [[1230, 1230], [750, 330], [750, 330], [750, 330]];
/// What was done last is fetched back within so long; where only a sweep shows it, in each tenth round, counted from a start.
const SETTLE_S: u64 = 200;
const SETTLE_SWEEP_S: u64 = 800;
/// From acceptance, or from the last button, to the EHR or a person.
pub const BOUND_S: u64 = GIVE_UP_S + 600;
/// Surfaces are looked at so often.
const LOOK_MS: u64 = 5_000;

/// What came of a run.
pub struct Ran {
    pub verdicts: Vec<Verdict>,
    pub head: String,
    pub lines: Vec<String>,
    pub requests: u64,
    pub entries: u64,
}

/// Runs a plan.
pub fn run(plan: &Plan, traced: bool) -> Ran {
    let mut world = World::new(plan, traced);
    let mut phase = Phase::Script;
    let mut lives = 0;
    while phase != Phase::Over && world.verdicts.iter().all(|verdict| verdict.kind != "broken") {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        let life = Arc::new(Life::new());
        let ended = runtime.block_on(async {
            world.time.enter();
            let ended = live(&mut world, &life, &mut phase).await;
            world.time.leave();
            ended
        });
        drop(runtime);
        lives += 1;
        match ended {
            Ended::Killed { power } => world.disk.crash(power),
            Ended::Stopped => world.disk.crash(false),
            Ended::Restored => {
                coverage::count("a backup is restored");
                world.disk.restore();
                world.restored();
            }
            Ended::Over => phase = Phase::Over,
            Ended::Broken(why) => world.wrong("broken", why),
        }
        if lives > 200 {
            world.wrong("broken", "more than 200 lives");
        }
    }
    judge::at_the_end(&mut world);
    Ran {
        head: world.head.clone(),
        lines: world.trace.lines(),
        requests: world.ehrs.iter().map(|ehr| ehr.requests()).sum(),
        entries: world.entries,
        verdicts: world.verdicts,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Script,
    /// Healed; nobody has answered yet.
    Calm {
        until_s: u64,
    },
    /// People have answered so often.
    Answered {
        round: u32,
        until_s: u64,
    },
    /// Nothing is left to do.
    Quiet {
        since_s: u64,
        entries: u64,
        /// It was stopped and started in between.
        again: bool,
    },
    Over,
}

enum Ended {
    Killed {
        power: bool,
    },
    Stopped,
    /// The machine is lost.
    Restored,
    Over,
    Broken(String),
}

/// What the phase asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Goes,
    Restarts,
    Ends,
}

/// What clients and people get back.
enum Done {
    Pushed { thing: usize, tries: u64, result: Result<Answer, Error> },
    Changed { thing: usize, field: Field, number: u64, tries: u64, result: Result<Answer, Error> },
    Added { thing: usize, phone: String, tries: u64, result: Result<Answer, Error> },
    Resent { thing: usize, before: Option<Value>, tries: u64, result: Result<Answer, Error> },
    Pressed { press: Press, result: Result<(), Error> },
}

/// One life of the gateway.
struct Living<'w> {
    world: &'w mut World,
    life: Arc<Life>,
    ledger: Ledger,
    engine: Engine,
    workers: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
    clients: JoinSet<Done>,
    /// Steps whose answer is still to come: done again after a death.
    open: BTreeMap<u64, (Step, u64)>,
    opened: u64,
    power: bool,
    /// Where the ledger stood, and the time in milliseconds, when surfaces were looked at last.
    looked: Option<(u64, u64)>,
}

async fn live(world: &mut World, life: &Arc<Life>, phase: &mut Phase) -> Ended {
    world.trace.say(|| "the gateway starts".to_owned());
    world.started = world.time.elapsed();
    let (ledger, engine) = match world.open(life) {
        Ok(opened) => opened,
        Err(_) if life.is_dead() => return Ended::Killed { power: false },
        Err(_) if world.disk.has_failed() => return Ended::Killed { power: true },
        Err(why) if world.disk.is_full() => {
            // Started again and again until there is room.
            coverage::count("a start finds the disk full");
            world.trace.say(|| format!("it cannot start: {why}"));
            tokio::time::sleep(Duration::from_secs(10)).await;
            return Ended::Killed { power: false };
        }
        Err(why) => {
            world.wrong("no-start", why.clone());
            if let Ok(folder) = std::env::var("SIM_DUMP") {
                let _ = world.disk.dump(std::path::Path::new(&folder));
            }
            return Ended::Broken(why);
        }
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let running = engine.clone();
    let workers = tokio::spawn(async move { running.run(async { drop(stopped.await) }).await });
    let mut living = Living {
        world,
        life: life.clone(),
        ledger,
        engine,
        workers,
        stop: Some(stop),
        clients: JoinSet::new(),
        open: BTreeMap::new(),
        opened: 0,
        power: false,
        looked: None,
    };
    let ended = living.go(phase).await;
    let unanswered: Vec<(Step, u64)> = std::mem::take(&mut living.open).into_values().collect();
    let at = living.world.now_ms() + 1500;
    for (step, tries) in unanswered {
        living.world.later(at, step, tries + 1);
    }
    ended
}

impl Living<'_> {
    async fn go(&mut self, phase: &mut Phase) -> Ended {
        let mut head = self.ledger.watch();
        let mut look_at = self.world.now_ms();
        loop {
            if let Err(why) = self.look() {
                if self.life.is_dead() {
                    return Ended::Killed { power: self.power };
                }
                return Ended::Broken(why);
            }
            if let Some(why) = self.ledger.stopped() {
                if self.world.disk.has_failed() {
                    // The process ends by itself; what the disk holds is not known.
                    coverage::count("a failed sync ends the process");
                    return Ended::Killed { power: true };
                }
                return if self.life.is_dead() { Ended::Killed { power: self.power } } else { Ended::Broken(why) };
            }
            match self.step_phase(phase) {
                Next::Goes => {}
                Next::Ends => return self.finish().await,
                Next::Restarts => {
                    self.stop().await;
                    return Ended::Stopped;
                }
            }
            let now = self.world.now_ms();
            let next = self.world.agenda.keys().next().map_or(u64::MAX, |(at, _)| *at);
            if next <= now {
                if let Some(ended) = self.due().await {
                    return ended;
                }
                continue;
            }
            if look_at <= now {
                look_at = now + if matches!(phase, Phase::Quiet { .. }) { 4 * LOOK_MS } else { LOOK_MS };
            }
            // What moved in this moment is looked at when the moment is over.
            let look_next = if self.is_unseen() { now + 1 } else { look_at };
            let pause = Duration::from_millis(next.min(look_next).saturating_sub(now).max(1));
            tokio::select! {
                biased;
                () = self.life.died() => {
                    self.world.trace.say(|| "the gateway dies".to_owned());
                    return Ended::Killed { power: self.power };
                }
                ended = &mut self.workers => {
                    if self.life.is_dead() {
                        return Ended::Killed { power: self.power };
                    }
                    return Ended::Broken(format!("the workers ended: {ended:?}"));
                }
                Some(done) = self.clients.join_next() => match done {
                    Ok(done) => self.answered(done),
                    Err(error) => return Ended::Broken(format!("a request panicked: {error}")),
                },
                changed = head.changed() => {
                    if changed.is_err() {
                        return Ended::Broken("the ledger is gone".to_owned());
                    }
                }
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn is_unseen(&self) -> bool {
        self.looked.is_none_or(|(seen, _)| seen != self.ledger.head())
    }

    fn look(&mut self) -> Result<(), String> {
        let (head, now) = (self.ledger.head(), self.world.now_ms());
        if self.looked.is_some_and(|(_, at)| at == now) {
            return Ok(());
        }
        // What surfaces show changes with the ledger only; what is late is late with time.
        if self.is_unseen() {
            self.world.look(&self.ledger)?;
        } else if self.looked.is_some_and(|(_, at)| now < at + LOOK_MS) {
            return Ok(());
        }
        self.looked = Some((head, now));
        judge::at_every_step(self.world);
        Ok(())
    }

    /// Ends in good order.
    async fn finish(&mut self) -> Ended {
        if let Err(why) = self.world.look(&self.ledger).and_then(|()| self.world.look_for_own(&self.ledger)) {
            return Ended::Broken(why);
        }
        self.world.entries = self.ledger.head();
        coverage::Cells::of(&self.ledger.entries(1, 1_000_000).unwrap_or_default(), self.world.plan.seed);
        self.world.head = match self.ledger.entry(self.ledger.head()) {
            Ok(Some(entry)) => entry.hash.to_string(),
            other => return Ended::Broken(format!("the last entry cannot be read: {other:?}")),
        };
        judge::cost(self.world, &self.ledger);
        self.stop().await;
        Ended::Over
    }

    /// Stops in good order: what is under way ends, requests are answered, within ten seconds (R14).
    async fn stop(&mut self) {
        drop(self.stop.take());
        if !self.clients.is_empty() {
            coverage::count("a stop with requests under way");
        }
        if self.is_sending() {
            coverage::count("a stop while something is sent");
        }
        let until = tokio::time::Instant::now() + Duration::from_secs(10);
        let mut works = true;
        while works || !self.clients.is_empty() {
            tokio::select! {
                biased;
                () = self.life.died() => return,
                _ = &mut self.workers, if works => works = false,
                Some(done) = self.clients.join_next() => {
                    if let Ok(done) = done {
                        self.answered(done);
                    }
                }
                () = tokio::time::sleep_until(until) => {
                    self.world.wrong("stuck", "a stop in good order took more than 10 s");
                    return;
                }
            }
        }
    }

    fn is_sending(&self) -> bool {
        self.world.shown.syncs.values().any(|sync| sync["state"] == "sending")
    }

    /// Does what the agenda says for now.
    async fn due(&mut self) -> Option<Ended> {
        let (_, (step, tries)) = self.world.agenda.pop_first()?;
        self.world
            .trace
            .say(|| format!("{step:?}{}", if tries > 0 { format!(" (try {tries})") } else { String::new() }));
        match step {
            Step::Push { thing, twice } => self.push(thing, twice, tries),
            Step::Change { thing, field, number } => self.change(thing, field, number, tries),
            Step::AddHere { thing, number } => self.add(thing, number, tries),
            Step::Resend { thing, change } => self.resend(thing, change, tries),
            Step::Edit { .. }
            | Step::ByHand { .. }
            | Step::Own { .. }
            | Step::Delete { .. }
            | Step::AddThere { .. }
            | Step::MergeAway { .. }
            | Step::Foreign { .. } => self.world.at_ehr(&step),
            Step::Press { choice, button, twice } => self.press(choice, button, twice),
            Step::Restart => {
                self.stop().await;
                if self.life.is_dead() {
                    return Some(Ended::Killed { power: self.power });
                }
                coverage::count("a stop in good order");
                return Some(Ended::Stopped);
            }
            Step::Kill { effects, power } => {
                self.power |= power;
                if effects == 0 { self.life.die() } else { self.life.light(effects) }
            }
            Step::Jump { by_s } => {
                coverage::count(if by_s < 0 { "the clock is set back" } else { "the clock is set forward" });
                if by_s < 0 && self.world.set_back.is_none() {
                    self.world.set_back = Some(self.world.time.elapsed());
                }
                self.world.clock.jump(by_s * 1000);
            }
            Step::Full { room, says_so, for_s } => self.world.disk.fill(room, says_so, for_s),
            Step::SyncFails => self.world.disk.fail_sync(),
            Step::Backup => {
                self.world.disk.keep();
                self.world.backed_up = Some(self.world.time.elapsed());
            }
            Step::Restore if self.world.backed_up.is_some() => return Some(Ended::Restored),
            Step::Restore => {}
        }
        None
    }
}

/// Healing comes at the end of the script.
const _: () = assert!(HEAL_S > 0);
