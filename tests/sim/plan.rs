//! A small world out of a seed: patients and visits, EHRs with their quirks, and what everybody does when. Everything that is left
//! to chance later (which request a quirk strikes) comes from the same seed, so that a plan is a whole run.

use std::fmt;

use jiff::{ToSpan as _, civil::date};
use serde_json::{Value, json};

use super::quirk::{Class, Kind, Quirk};

/// The script ends by then, and all faults that heal.
pub const HEAL_S: u64 = 600;

/// A patient or a visit.
#[derive(Clone, Debug)]
pub struct Thing {
    /// The patient of a visit.
    pub of: Option<usize>,
    /// The client chooses the id.
    pub named: bool,
}

impl Thing {
    pub const fn object(&self) -> &'static str {
        if self.of.is_some() { "appointment" } else { "patient" }
    }
}

/// What every state of a thing carries, here and there.
pub fn marker(thing: usize) -> String {
    format!("sim-{thing:02}")
}

/// What staff's own records carry.
pub fn own_marker(number: u64) -> String {
    format!("own-{number:02}")
}

/// The fields that change. Each value is written once, so that a value tells who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    Family,
    Birth,
    Comment,
    Status,
}

impl Field {
    pub const fn internal(self) -> &'static str {
        match self {
            Self::Family => "/names/0/family",
            Self::Birth => "/birth_date",
            Self::Comment => "/comment",
            Self::Status => "/status",
        }
    }
    pub const fn fhir(self) -> &'static str {
        match self {
            Self::Family => "/name/0/family",
            Self::Birth => "/birthDate",
            Self::Comment => "/comment",
            Self::Status => "/status",
        }
    }
    pub const fn of(thing: &Thing) -> &'static [Self] {
        if thing.of.is_some() { &[Self::Comment, Self::Status] } else { &[Self::Family, Self::Birth] }
    }
    /// Where both sides changed it, the mapping lets ours win.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Comment)
    }
    pub fn value(self, number: u64) -> String {
        match self {
            Self::Family => format!("Family{number}"),
            Self::Birth => (date(1950, 1, 1) + i64::try_from(number).unwrap_or(0).days()).to_string(),
            Self::Comment => format!("comment {number}"),
            Self::Status => "cancelled".to_owned(),
        }
    }
    /// A merge patch that sets it.
    pub fn patch(self, value: &str) -> Value {
        match self {
            Self::Family => json!({"names": [{"family": value, "given": ["Ada"]}]}),
            Self::Birth => json!({"birth_date": value}),
            Self::Comment => json!({"comment": value}),
            Self::Status => json!({"status": value}),
        }
    }
    /// Sets it in a whole object of ours.
    pub fn set(self, object: &mut Value, value: &str) {
        if let Some(at) = object.pointer_mut(self.internal()) {
            *at = json!(value);
        }
    }
    /// Changes it in the EHR's form.
    pub fn edit(self, resource: &mut Value, value: &str) {
        match self {
            Self::Family => resource["name"] = json!([{"family": value, "given": ["Ada"]}]),
            Self::Birth => resource["birthDate"] = json!(value),
            Self::Comment => resource["comment"] = json!(value),
            Self::Status => resource["status"] = json!(value),
        }
    }
}

/// What people press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Button {
    Retry,
    Dismiss,
    Resolve,
    ResolveNothing,
    Assign,
    Comment,
    RetryGroup,
}

impl Button {
    const ALL: [Self; 7] = [
        Self::Retry,
        Self::Dismiss,
        Self::Resolve,
        Self::ResolveNothing,
        Self::Assign,
        Self::Comment,
        Self::RetryGroup,
    ];
}

/// Something that is done at a time.
#[derive(Clone, Debug)]
pub enum Step {
    /// A client sends a new object; twice under the same key.
    Push {
        thing: usize,
        twice: bool,
    },
    /// A client changes a field (or cancels).
    Change {
        thing: usize,
        field: Field,
        number: u64,
    },
    /// The EHR's staff change a field.
    Edit {
        ehr: usize,
        thing: usize,
        field: Field,
        number: u64,
    },
    /// The EHR's staff enter by hand what it refused, and one value of their own.
    ByHand {
        ehr: usize,
        thing: usize,
        number: u64,
    },
    /// The EHR's staff create a patient of their own.
    Own {
        ehr: usize,
        number: u64,
        identified: bool,
    },
    /// The EHR's staff delete a record.
    Delete {
        ehr: usize,
        thing: usize,
    },
    /// A client, or the EHR's staff, add a telephone number to a patient.
    AddHere {
        thing: usize,
        number: u64,
    },
    AddThere {
        ehr: usize,
        thing: usize,
        number: u64,
    },
    /// The EHR's staff make a visit for a patient, who is named under the EHR's own base or under another one.
    Foreign {
        ehr: usize,
        thing: usize,
        number: u64,
        own: bool,
    },
    /// The EHR's staff merge a patient into another one.
    MergeAway {
        ehr: usize,
        thing: usize,
    },
    /// A sender's file is sent again (`Prefer: merge`): as it was, or with one value changed in it.
    Resend {
        thing: usize,
        change: Option<(Field, u64)>,
    },
    /// A person presses a button at some item, perhaps twice.
    Press {
        choice: u64,
        button: Button,
        twice: bool,
    },
    /// The gateway is stopped in good order and started again.
    Restart,
    /// It dies at the effect after so many, or at once; with the power, or only the process.
    Kill {
        effects: i64,
        power: bool,
    },
    /// Its clock jumps.
    Jump {
        by_s: i64,
    },
    /// Its disk has only so much room for a while, and says so or not.
    Full {
        room: u64,
        says_so: bool,
        for_s: u64,
    },
    /// Its disk does not confirm the next sync.
    SyncFails,
    /// Somebody makes a backup of the ledger.
    Backup,
    /// The machine is lost; it starts again from the backup.
    Restore,
}

/// A world.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub ehrs: usize,
    pub things: Vec<Thing>,
    pub quirks: Vec<Quirk>,
    /// Folds may go back to an earlier end.
    pub sets_back: bool,
    /// By time, in milliseconds.
    pub steps: Vec<(u64, Step)>,
}

/// Which kinds of quirks and steps are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    pub quirks: &'static [Kind],
    pub power_cuts: bool,
    pub kills: bool,
    pub jumps: bool,
    pub edits: bool,
    pub presses: bool,
    pub two_ehrs: bool,
    pub disk: bool,
    pub restores: bool,
    pub sets_back: bool,
    pub fetches: bool,
    pub resends: bool,
}

impl Plan {
    pub fn of(seed: u64, scope: &Scope) -> Self {
        // Neighbouring seeds would begin alike.
        let mut chance = fastrand::Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x51ED_270B);
        let ehrs = if scope.two_ehrs { 1 + usize::from(chance.u8(0..3) == 0) } else { 1 };
        let patients = chance.usize(1..=3);
        let visits = chance.usize(0..=6);
        let mut things: Vec<Thing> = (0..patients).map(|_| Thing { of: None, named: chance.u8(0..3) > 0 }).collect();
        things.extend((0..visits).map(|_| Thing { of: Some(chance.usize(0..patients)), named: chance.bool() }));
        let mut plan = Self { seed, ehrs, things, quirks: Vec::new(), sets_back: scope.sets_back, steps: Vec::new() };
        plan.draw_quirks(&mut chance, scope);
        plan.draw_steps(&mut chance, scope);
        plan.steps.sort_by_key(|(at, _)| *at);
        plan
    }

    fn draw_quirks(&mut self, chance: &mut fastrand::Rng, scope: &Scope) {
        if scope.quirks.is_empty() {
            return;
        }
        for ehr in 0..self.ehrs {
            for _ in 0..chance.usize(0..=4) {
                let kind = scope.quirks[chance.usize(0..scope.quirks.len())];
                if self.quirks.iter().any(|quirk| quirk.ehr == ehr && quirk.kind == kind) {
                    continue;
                }
                let from_s = if chance.bool() { 0 } else { chance.u64(0..300) };
                let until_s = (from_s + chance.u64(30..500)).min(HEAL_S);
                let percent = if kind.weight() == 100 { 100 } else { chance.u32(1..=kind.weight() * 2).min(90) };
                let mut vary = chance.u64(0..1000);
                if kind == Kind::ListForbidden && !scope.fetches && vary / 2 % 3 == 2 {
                    vary -= 2;
                }
                self.quirks.push(Quirk { kind, ehr, percent, from_s, until_s, vary });
            }
        }
    }

    fn draw_steps(&mut self, chance: &mut fastrand::Rng, scope: &Scope) {
        for thing in 0..self.things.len() {
            let begin = if self.things[thing].of.is_some() { 5_000 } else { 0 };
            let at = chance.u64(begin..begin + 120_000);
            self.steps.push((at, Step::Push { thing, twice: chance.u8(0..4) == 0 }));
            let fields = Field::of(&self.things[thing]);
            for _ in 0..chance.usize(0..=3) {
                let field = fields[chance.usize(0..fields.len())];
                let number = self.steps.len() as u64;
                let changed = chance.u64(at..500_000);
                self.steps.push((changed, Step::Change { thing, field, number }));
                if scope.presses && chance.u8(0..8) == 0 {
                    // Somebody decides about it while it is on its way.
                    let button = [Button::Resolve, Button::Retry, Button::Dismiss][chance.usize(0..3)];
                    let (choice, soon) = (chance.u64(..), [300, 20_000][usize::from(chance.bool())]);
                    let press = Step::Press { choice, button, twice: false };
                    self.steps.push((changed + chance.u64(0..soon), press));
                }
            }
            if scope.edits {
                for _ in 0..chance.usize(0..=2) {
                    // Staff cancel too rarely to matter.
                    let (field, ehr) = (fields[0], chance.usize(0..self.ehrs));
                    let number = 1000 + self.steps.len() as u64;
                    self.steps.push((chance.u64(at..580_000), Step::Edit { ehr, thing, field, number }));
                }
            }
        }
        self.draw_data(chance);
        if scope.edits {
            self.draw_by_hand(chance);
        }
        if scope.presses {
            // Where something stays wrong there are items, and people who press now this, now that.
            let stays = self.quirks.iter().any(|quirk| quirk.kind.class() == Class::Trouble);
            for _ in 0..chance.usize(0..=if stays { 14 } else { 6 }) {
                let button = Button::ALL[chance.usize(0..Button::ALL.len())];
                let (choice, at) = (chance.u64(..), chance.u64(20_000..590_000));
                self.steps.push((at, Step::Press { choice, button, twice: chance.bool() }));
                if chance.bool() {
                    // And at once another one at the same item.
                    let button = Button::ALL[chance.usize(0..Button::ALL.len())];
                    let soon = [150, 4000][usize::from(chance.bool())];
                    let at = at + chance.u64(0..soon);
                    self.steps.push((at, Step::Press { choice, button, twice: false }));
                }
            }
        }
        for _ in 0..chance.usize(0..=3) {
            // At any time, or just after something was done.
            let at = match chance.bool() {
                true => chance.u64(1_000..550_000),
                false => self.steps[chance.usize(0..self.steps.len())].0 + chance.u64(0..200),
            };
            let step = match chance.u8(0..4) {
                0 => Step::Restart,
                _ if !scope.kills => Step::Restart,
                1 if scope.power_cuts => Step::Kill { effects: fuse(chance), power: true },
                _ => Step::Kill { effects: fuse(chance), power: false },
            };
            self.steps.push((at, step));
        }
        self.draw_disk(chance, scope);
        if scope.jumps && chance.u8(0..4) == 0 {
            let by_s = [-3600, 3600, 7200][chance.usize(0..3)];
            self.steps.push((chance.u64(10_000..500_000), Step::Jump { by_s }));
        }
        if scope.resends {
            self.draw_resends(chance);
        }
    }

    /// Where an EHR refuses something, its staff may enter it by hand.
    fn draw_by_hand(&mut self, chance: &mut fastrand::Rng) {
        let refuses = [Kind::RefusesObject, Kind::RefusesType, Kind::ForbiddenRecord, Kind::Locked, Kind::Unavailable];
        let ehrs: Vec<usize> =
            self.quirks.iter().filter(|quirk| refuses.contains(&quirk.kind)).map(|quirk| quirk.ehr).collect();
        for ehr in ehrs {
            let (thing, number) = (chance.usize(0..self.things.len()), 1000 + self.steps.len() as u64);
            self.steps.push((chance.u64(60_000..590_000), Step::ByHand { ehr, thing, number }));
        }
    }

    /// Senders send their files again.
    fn draw_resends(&mut self, chance: &mut fastrand::Rng) {
        for thing in 0..self.things.len() {
            let fields = Field::of(&self.things[thing]);
            for _ in 0..chance.usize(0..=4).saturating_sub(2) {
                let change = (chance.u8(0..3) == 0).then(|| {
                    let named = fields.iter().filter(|field| **field != Field::Status).count();
                    (fields[chance.usize(0..named)], 500 + self.steps.len() as u64)
                });
                self.steps.push((chance.u64(60_000..580_000), Step::Resend { thing, change }));
            }
        }
    }

    /// What becomes of the disk, and of the machine.
    fn draw_disk(&mut self, chance: &mut fastrand::Rng, scope: &Scope) {
        if scope.disk && chance.u8(0..6) == 0 {
            let room = [0, chance.u64(0..6000), 4 << 20, 12 << 20][chance.usize(0..4)];
            let step = Step::Full { room, says_so: chance.u8(0..3) > 0, for_s: chance.u64(5..150) };
            self.steps.push((chance.u64(1_000..430_000), step));
        }
        if scope.disk && chance.u8(0..8) == 0 {
            self.steps.push((chance.u64(1_000..550_000), Step::SyncFails));
        }
        if scope.restores && chance.u8(0..8) == 0 {
            let at = chance.u64(1_000..400_000);
            self.steps.push((at, Step::Backup));
            self.steps.push((chance.u64(at + 1_000..560_000), Step::Restore));
        }
    }

    /// What staff do by themselves.
    fn draw_data(&mut self, chance: &mut fastrand::Rng) {
        for quirk in self.quirks.clone() {
            let (at, ehr) = (chance.u64(10_000..500_000), quirk.ehr);
            match quirk.kind {
                Kind::OwnRecords => {
                    for number in 0..chance.u64(1..4) {
                        let number = quirk.vary % 40 + number;
                        self.steps.push((at + number * 1000, Step::Own { ehr, number, identified: false }));
                    }
                }
                Kind::OwnIdentified => {
                    self.steps.push((at, Step::Own { ehr, number: 50 + quirk.vary % 40, identified: true }));
                }
                Kind::Deletes => {
                    self.steps.push((at, Step::Delete { ehr, thing: chance.usize(0..self.things.len()) }));
                }
                Kind::Foreign => {
                    let (thing, own) = (self.a_patient(chance), chance.bool());
                    let number = 70 + quirk.vary % 20;
                    self.steps.push((at, Step::Foreign { ehr, thing, number, own }));
                }
                Kind::BothAdd => {
                    let (thing, number) = (self.a_patient(chance), 100 + self.steps.len() as u64);
                    self.steps.push((at, Step::AddHere { thing, number }));
                    let at = at + chance.u64(0..90_000);
                    self.steps.push((at, Step::AddThere { ehr, thing, number: number + 500 }));
                }
                Kind::MergedAway => {
                    let thing = self.a_patient(chance);
                    self.steps.push((at, Step::MergeAway { ehr, thing }));
                }
                _ => {}
            }
        }
    }

    fn a_patient(&self, chance: &mut fastrand::Rng) -> usize {
        chance.usize(0..self.things.iter().filter(|thing| thing.of.is_none()).count())
    }
}

/// It dies at once, or at an effect soon.
fn fuse(chance: &mut fastrand::Rng) -> i64 {
    if chance.u8(0..4) == 0 { 0 } else { chance.i64(1..40) }
}

/// A telephone number that is written once.
pub fn phone(number: u64) -> String {
    format!("+44 20 7946 {number:04}")
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let visits: Vec<String> = self
            .things
            .iter()
            .enumerate()
            .map(|(at, thing)| {
                let name = if thing.named { "named" } else { "unnamed" };
                match thing.of {
                    Some(of) => format!("{at}: visit of {of}, {name}"),
                    None => format!("{at}: patient, {name}"),
                }
            })
            .collect();
        writeln!(f, "seed {}: {} EHR(s); {}", self.seed, self.ehrs, visits.join("; "))?;
        for quirk in &self.quirks {
            writeln!(f, "  {quirk}")?;
        }
        for (at, step) in &self.steps {
            writeln!(f, "  {:>8.3} s {step:?}", *at as f64 / 1000.0)?;
        }
        Ok(())
    }
}
