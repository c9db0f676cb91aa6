//! Runs a world to its end: life after life of the gateway, the script, the healing, people who answer everything, a quiet time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use liaison::{
    domain::ObjectId,
    error::Explained as _,
    ledger::{Answer, Ledger, LedgerError},
    sync::{Accept, Action, Change, Choice, Engine, Error, Key, Update},
};
use serde_json::Value;
use tokio::{
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};

use super::{
    coverage, judge,
    plan::{Button, Field, HEAL_S, Plan, Step, marker},
    quirk::Kind,
    time::Life,
    world::{Acked, GIVE_UP_S, Press, Verdict, World, is_open, name, object},
};

/// After healing, so long at most until people begin to answer.
const CALM_S: u64 = 900;
/// People answer so often, and wait so long at most in between.
const ROUNDS: u32 = 10;
const ROUND_S: u64 = 420;
/// At the end nothing happens for twenty rounds (in three of four worlds twelve), then the gateway is stopped and started, and nothing
/// happens for as many more (R22). A sweep is made in each tenth round.
const QUIET_S: [u64; 4] = [1230, 750, 750, 750];
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
            let pause = Duration::from_millis(next.min(look_at).saturating_sub(now).max(1));
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

    fn look(&mut self) -> Result<(), String> {
        let (head, now) = (self.ledger.head(), self.world.now_ms());
        // What surfaces show changes with the ledger only; what is late is late with time.
        if self.looked.is_none_or(|(seen, _)| seen != head) {
            self.world.look(&self.ledger)?;
        } else if self.looked.is_some_and(|(_, at)| now < at + LOOK_MS) {
            return Ok(());
        }
        self.looked = Some((head, now));
        judge::at_every_step(self.world);
        Ok(())
    }

    /// Moves on to the next phase where it is time.
    fn step_phase(&mut self, phase: &mut Phase) -> Next {
        let now = self.world.time.elapsed().as_secs();
        // What a sweep finds, and that a type cannot be fetched, is told some rounds after a start only.
        let late = [Kind::StaleUpdated, Kind::Year2099, Kind::ListForbidden];
        let swept = self.world.ehrs.iter().any(|ehr| late.iter().any(|kind| ehr.has(*kind)));
        let settle = if swept { SETTLE_SWEEP_S } else { SETTLE_S };
        let quiet = Phase::Quiet { since_s: now + settle, entries: self.ledger.head(), again: false };
        match *phase {
            Phase::Script if self.world.is_over() && self.clients.is_empty() => {
                self.world.trace.say(|| "all heals".to_owned());
                self.world.ehrs.iter().for_each(|ehr| ehr.heal());
                *phase = Phase::Calm { until_s: now + CALM_S };
            }
            Phase::Calm { until_s } if now >= until_s || self.is_settled(now, until_s - CALM_S) => {
                if self.is_answered() && !self.is_pending() {
                    *phase = quiet;
                } else {
                    self.answer_all(0);
                    *phase = Phase::Answered { round: 1, until_s: now + ROUND_S };
                }
            }
            Phase::Answered { round, until_s } if self.clients.is_empty() => {
                if now + ROUND_S > until_s + 90 && self.is_answered() && !self.is_pending() {
                    *phase = quiet;
                } else if now >= until_s {
                    if round >= ROUNDS {
                        judge::unended(self.world);
                        return Next::Ends;
                    }
                    self.answer_all(round);
                    *phase = Phase::Answered { round: round + 1, until_s: now + ROUND_S };
                }
            }
            // What was done last may still be fetched back: the quiet begins after that.
            Phase::Quiet { since_s, ref mut entries, again: false } if now < since_s => *entries = self.ledger.head(),
            Phase::Quiet { since_s, entries, again } if now >= since_s + self.quiet_s() => {
                let added = self.ledger.head() - entries;
                if added > 0 {
                    self.noise(entries, added, again);
                }
                if !self.is_answered() || self.is_pending() {
                    // Something new turned up.
                    self.answer_all(ROUNDS - 1);
                    *phase = Phase::Answered { round: ROUNDS, until_s: now + ROUND_S };
                } else if again {
                    return Next::Ends;
                } else {
                    *phase = Phase::Quiet { since_s: now, entries: self.ledger.head(), again: true };
                    return Next::Restarts;
                }
            }
            _ => {}
        }
        Next::Goes
    }

    fn noise(&mut self, from: u64, added: u64, again: bool) {
        let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
        for entry in self.ledger.entries(from + 1, 10_000).unwrap_or_default() {
            *kinds.entry(entry.draft.fact.kind().to_owned()).or_default() += 1;
        }
        let after = if again { ", after a restart" } else { "" };
        let quiet_s = self.quiet_s();
        self.world.wrong("noisy", format!("{added} entries in a quiet time of {quiet_s} s{after}: {kinds:?}"));
    }

    fn quiet_s(&self) -> u64 {
        QUIET_S[(self.world.plan.seed % 4) as usize]
    }

    fn is_pending(&self) -> bool {
        self.world
            .shown
            .syncs
            .values()
            .any(|sync| matches!(sync["state"].as_str(), Some("accepted" | "sending" | "retrying" | "unknown")))
    }

    fn is_answered(&self) -> bool {
        self.world.shown.open().is_empty()
    }

    /// Nothing more is to be expected without people; at least two rounds of fetching have passed.
    fn is_settled(&self, now: u64, since: u64) -> bool {
        now >= since + 150 && !self.is_pending()
    }

    /// Ends in good order.
    async fn finish(&mut self) -> Ended {
        if let Err(why) = self.world.look(&self.ledger).and_then(|()| self.world.look_for_own(&self.ledger)) {
            return Ended::Broken(why);
        }
        self.world.entries = self.ledger.head();
        coverage::Cells::of(&self.ledger.entries(1, 1_000_000).unwrap_or_default());
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
            Step::Edit { .. } | Step::Own { .. } | Step::Delete { .. } => self.world.at_ehr(&step),
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
                self.life.light(effects);
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

    fn opens(&mut self, step: Step, tries: u64) -> u64 {
        self.opened += 1;
        self.open.insert(self.opened, (step, tries));
        self.opened
    }

    fn push(&mut self, thing: usize, twice: bool, tries: u64) {
        let step = Step::Push { thing, twice };
        let Some(body) = self.world.body(thing) else {
            // Its patient has no id yet.
            let at = self.world.now_ms() + 3000;
            if tries < 300 {
                self.world.later(at, step, tries + 1);
            }
            return;
        };
        for again in 0..=u64::from(twice) {
            let open = self.opens(Step::Push { thing, twice: false }, tries);
            let engine = self.engine.clone();
            let key = Key { scope: "sim".to_owned(), key: format!("push-{thing}") };
            let accept = Accept {
                object: name(self.world.plan.things[thing].object()),
                body: body.clone(),
                key,
                by: "sim".to_owned(),
                lenient: false,
            };
            self.clients.spawn(async move {
                if again > 0 {
                    tokio::time::sleep(Duration::from_millis(thing as u64 % 3 * 40)).await;
                }
                let result = engine.accept(accept).await;
                Done::Pushed { thing, tries: open, result }
            });
        }
    }

    fn change(&mut self, thing: usize, field: Field, number: u64, tries: u64) {
        let step = Step::Change { thing, field, number };
        let Some(id) = self.world.known[thing].id.clone() else {
            let at = self.world.now_ms() + 5000;
            if tries < 100 {
                self.world.later(at, step, tries + 1);
            }
            return;
        };
        let kind = self.world.plan.things[thing].object();
        let expected = match object(&self.ledger, kind, &id) {
            Ok(Some(body)) => body["version"].as_u64().unwrap_or_default(),
            // Answered 202 and not there.
            Ok(None) => return self.world.wrong("lost", format!("{kind} {id} was accepted and is not there")),
            Err(_) => return,
        };
        let open = self.opens(step, tries);
        let change = match field {
            Field::Status => Change::Cancel { reason: None },
            field => Change::Merge(field.patch(&field.value(number))),
        };
        // A client that got no answer repeats under its key; one that was told of a newer version reads first, and begins anew.
        let key = Key { scope: "sim".to_owned(), key: format!("change-{thing}-{number}-{expected}") };
        let id = ObjectId::new(&id).expect("an id");
        let update =
            Update { object: name(kind), id, expected, change, key: Some(key), by: "sim".to_owned(), lenient: false };
        let engine = self.engine.clone();
        self.clients.spawn(async move {
            let result = engine.update(update).await;
            Done::Changed { thing, field, number, tries: open, result }
        });
    }

    /// A client or a person is answered.
    fn answered(&mut self, done: Done) {
        if self.life.is_dead() {
            return;
        }
        let at = self.world.time.elapsed();
        match done {
            Done::Pushed { thing, tries: open, result } => {
                let Some((step, tries)) = self.open.remove(&open) else { return };
                match result {
                    Ok(answer) => {
                        let id = answer.id.to_string();
                        self.world.trace.say(|| format!("  202: {thing} is {id} v{}", answer.version));
                        let patient = self.world.plan.things[thing].of.is_none();
                        let known = &mut self.world.known[thing];
                        if !known.ids.contains(&id) {
                            known.ids.push(id.clone());
                        }
                        let first = known.acked.is_empty();
                        known.id = Some(id);
                        if first {
                            let fields: &[Field] =
                                if patient { &[Field::Family, Field::Birth] } else { &[Field::Comment] };
                            let acked = fields.iter().map(|field| Acked {
                                version: answer.version,
                                at,
                                field: Some(*field),
                                value: field.value(thing as u64),
                            });
                            known.acked.extend(acked);
                            known.ever.extend(known.acked.clone());
                        }
                    }
                    // The EHR had it, and it was fetched from there after a backup was restored.
                    Err(Error::Ledger(LedgerError::Exists)) if self.world.restored => {
                        self.world.known[thing].id = Some(marker(thing));
                    }
                    Err(error) => self.refused(step, tries, &error),
                }
            }
            Done::Changed { thing, field, number, tries: open, result } => {
                let Some((step, tries)) = self.open.remove(&open) else { return };
                match result {
                    Ok(answer) => {
                        self.world.trace.say(|| format!("  202: {thing} changed, v{}", answer.version));
                        let acked =
                            Acked { version: answer.version, at, field: Some(field), value: field.value(number) };
                        self.world.known[thing].ever.push(acked.clone());
                        self.world.known[thing].acked.push(acked);
                    }
                    Err(error) => self.refused(step, tries, &error),
                }
            }
            Done::Pressed { mut press, result } => {
                // A sync that failed may have been kept all the same: then the decision stands after the restart.
                press.taken = matches!(&result, Ok(()) | Err(Error::Ledger(LedgerError::Stopped(_))));
                self.world.trace.say(|| {
                    let came = result.as_ref().map_or_else(ToString::to_string, |()| "taken".to_owned());
                    format!("  {:?} on {}: {came}", press.button, press.item["id"])
                });
                match &result {
                    Ok(()) | Err(Error::Closed | Error::Decision(_) | Error::Invalid(_) | Error::NoItem) => {}
                    Err(Error::Ledger(
                        LedgerError::Stale { .. } | LedgerError::SyncMoved | LedgerError::ItemClosed,
                    )) => {}
                    Err(error) if error.is_disk() && self.world.disk.is_full() => {}
                    Err(Error::Ledger(LedgerError::Stopped(_))) if self.world.disk.has_failed() => {}
                    Err(error) => {
                        self.world.wrong("refused", format!("a button is answered {}: {error}", error.code()))
                    }
                }
                self.world.presses.push(press);
            }
        }
    }

    /// A request of a client was refused.
    fn refused(&mut self, step: Step, tries: u64, error: &Error) {
        self.world.trace.say(|| format!("  refused {step:?}: {} {error}", error.code()));
        match error {
            // It reads again, and asks again.
            Error::Ledger(LedgerError::Stale { .. }) if tries < 20 => {
                let at = self.world.now_ms() + 700;
                self.world.later(at, step, tries + 1);
            }
            // 507, and 503 of a process that ends: repeated.
            _ if error.is_disk() && self.world.disk.is_full() || self.world.disk.has_failed() => {
                coverage::count("a request is refused for want of room");
                let at = self.world.now_ms() + 5000;
                self.world.later(at, step, tries + 1);
            }
            // A visit that was called off meanwhile.
            Error::Transition => {}
            Error::Invalid(findings) => {
                let places: Vec<String> =
                    findings.iter().map(|f| format!("{} {} {}", f.pointer, f.code, f.detail)).collect();
                self.world.wrong("refused", format!("{step:?}: {}", places.join("; ")));
            }
            _ => self.world.wrong("refused", format!("{step:?}: {} {error}", error.code())),
        }
    }

    /// Somebody presses a button at some item.
    fn press(&mut self, choice: u64, button: Button, twice: bool) {
        let items: Vec<Value> = self.world.shown.items.values().map(|(_, item)| item.clone()).collect();
        // Closed items are pressed too, more rarely.
        let open: Vec<Value> = items.iter().filter(|item| is_open(item)).cloned().collect();
        let list = if open.is_empty() || choice % 8 == 7 { items } else { open };
        let Some(item) = list.get((choice / 8) as usize % list.len().max(1)).cloned() else { return };
        for _ in 0..=u64::from(twice) {
            self.presses(&item, button);
        }
    }

    fn presses(&mut self, item: &Value, button: Button) {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let key = (text("object"), text("object_id"), text("system"));
        let sync = self.world.shown.syncs.get(&key).map(|sync| {
            (sync["version"].as_u64().unwrap_or_default(), sync["state"].as_str().unwrap_or_default().to_owned())
        });
        let press = Press { button, item: item.clone(), sync, at: self.world.time.elapsed(), taken: false };
        let mut fields = BTreeMap::new();
        for field in item["fields"].as_array().into_iter().flatten().filter(|_| button == Button::Resolve) {
            let choice = if self.world.chance.bool() { Choice::Ours } else { Choice::Theirs };
            fields.insert(field["path"].as_str().unwrap_or_default().to_owned(), choice);
        }
        self.world.trace.say(|| format!("somebody presses {button:?} on {} {fields:?}", text("id")));
        let (engine, id, group) = (self.engine.clone(), text("id"), text("group"));
        self.clients.spawn(async move {
            let by = "eve";
            let result = match button {
                Button::RetryGroup => engine.retry_group(&group, by).await.map(drop),
                Button::Retry => engine.act(&id, Action::Retry, by).await,
                Button::Dismiss => {
                    engine.act(&id, Action::Dismiss { reason: "not needed".to_owned(), send_without: false }, by).await
                }
                Button::Resolve | Button::ResolveNothing => {
                    engine.act(&id, Action::Resolve { note: "looked at".to_owned(), fields }, by).await
                }
                Button::Assign => engine.act(&id, Action::Assign { to: "adam".to_owned() }, by).await,
                Button::Comment => engine.act(&id, Action::Comment { text: "hm".to_owned() }, by).await,
            };
            Done::Pressed { press, result }
        });
    }

    /// People answer all that is open: first as the items ask, in the end by closing what does not go away.
    fn answer_all(&mut self, round: u32) {
        let open: Vec<Value> = self.world.shown.open().into_iter().cloned().collect();
        for item in open {
            let button = match (item["kind"].as_str(), round) {
                (Some("conflict"), 0..=3) => Button::Resolve,
                (_, 0..=1) => Button::Retry,
                _ => Button::Dismiss,
            };
            self.presses(&item, button);
        }
    }
}

/// Healing comes at the end of the script.
const _: () = assert!(HEAL_S > 0);
