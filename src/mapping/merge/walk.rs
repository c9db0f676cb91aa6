//! The walk through both objects: groups member by member, forms of one choice together, lists by item (`list`), and single
//! values by the table (`decide`). Each step gives what stands here and what is to stand there.

use serde_json::{Map, Value};

use super::{
    Field, Merged, Occasion, Settled, Sides,
    decide::{Change, Verdict, verdict},
    field::{FieldRule, Unit},
    form::{absent, extends, member, same},
    settled::hash,
};
use crate::mapping::{Owner, plan::Name};

pub(super) type Side<'a> = Option<&'a Value>;

/// The three values (and ours as it would be read back) at one place.
#[derive(Clone, Copy)]
pub(super) struct Here<'a> {
    /// None: there is no base at all; `Some(None)`: it lacks this.
    pub(super) base: Option<Side<'a>>,
    pub(super) ours: Side<'a>,
    pub(super) said: Side<'a>,
    pub(super) theirs: Side<'a>,
}

/// What stands at one place afterwards.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) here: Option<Value>,
    pub(super) there: Option<Value>,
}

/// Who moved since the base, or since it was settled.
#[derive(Clone, Copy, Default)]
struct Moved {
    we: bool,
    they: bool,
    was_settled: bool,
}

pub(super) struct Walk<'a> {
    pub(super) settled: &'a Settled,
    pub(super) occasion: Occasion,
    pub(super) merged: Merged,
}

pub(super) fn merge(sides: &Sides<'_>, settled: &Settled, occasion: Occasion, rules: &FieldRule) -> Merged {
    let mut walk = Walk { settled, occasion, merged: Merged::default() };
    let (base, ours) = (sides.base.map(Some), Some(sides.ours));
    let made = walk.group("", rules, Here { base, ours, said: Some(sides.said), theirs: Some(sides.theirs) });
    Merged { value: made.here.unwrap_or_default(), outgoing: made.there.unwrap_or_default(), ..walk.merged }
}

fn members<'a>(side: Side<'a>, none: &'a Map<String, Value>) -> &'a Map<String, Value> {
    side.and_then(Value::as_object).unwrap_or(none)
}

fn put(members: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => _ = members.insert(name.to_owned(), value),
        None => _ = members.shift_remove(name),
    }
}

impl Walk<'_> {
    /// The members of a group. Those without a rule stay as they are here, and are no matter of theirs.
    pub(super) fn group(&mut self, path: &str, rule: &FieldRule, here: Here<'_>) -> Made {
        let none = Map::new();
        let (ours, said) = (members(here.ours, &none), members(here.said, &none));
        let theirs = members(here.theirs, &none);
        let base = here.base.map(|base| members(base, &none));
        let known = |name: &&String| rule.members.contains_key(name.as_str()) || (rule.open && !is_core(path, name));
        let mut names: Vec<&String> = Vec::new();
        for name in said.keys().chain(theirs.keys()).chain(base.into_iter().flat_map(Map::keys)).filter(known) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let (mut value, mut outgoing) = (ours.clone(), ours.clone());
        let at = |name: &str| Here {
            base: base.map(|base| base.get(name)),
            ours: ours.get(name),
            said: said.get(name),
            theirs: theirs.get(name),
        };
        let mut done: Vec<&Name> = Vec::new();
        for name in &names {
            let own = member(rule, name);
            let mates: Vec<&String> = match &own.choice {
                Some(choice) if done.contains(&choice) => continue,
                Some(choice) => {
                    done.push(choice);
                    names.iter().filter(|other| member(rule, other).choice.as_ref() == Some(choice)).copied().collect()
                }
                None => vec![*name],
            };
            if mates.len() > 1 {
                let mates =
                    mates.into_iter().map(|name| (name.as_str(), step(path, name), member(rule, name), at(name)));
                for (name, made) in self.choice(&mates.collect::<Vec<_>>()) {
                    put(&mut value, name, made.here);
                    put(&mut outgoing, name, made.there);
                }
            } else {
                let made = self.node(&step(path, name), own, at(name));
                put(&mut value, name, made.here);
                put(&mut outgoing, name, made.there);
            }
        }
        // A group whose last member goes, goes; the object itself stays.
        let some =
            |members: Map<String, Value>| (path.is_empty() || !members.is_empty()).then_some(Value::Object(members));
        Made { here: some(value), there: some(outgoing) }
    }

    /// One field.
    fn node(&mut self, path: &str, rule: &FieldRule, here: Here<'_>) -> Made {
        if same(here.said, here.theirs, rule) {
            return Made { here: here.ours.cloned(), there: here.theirs.cloned() };
        }
        let sides = [here.said, here.theirs, here.base.flatten()];
        let present = || sides.into_iter().flatten().filter(|value| !value.is_null());
        if !rule.ordered && present().all(Value::is_array) {
            return self.list(path, rule, here);
        }
        self.single(path, rule, here)
    }

    /// One field that is no list, or an item of one.
    pub(super) fn single(&mut self, path: &str, rule: &FieldRule, here: Here<'_>) -> Made {
        if same(here.said, here.theirs, rule) {
            return Made { here: here.ours.cloned(), there: here.theirs.cloned() };
        }
        let groups = [here.said, here.theirs].into_iter().all(|side| side.is_some_and(Value::is_object));
        if rule.unit == Unit::Walked && groups && !self.settled.contains_key(path) {
            return self.group(path, rule, here);
        }
        self.leaf(path, rule, here, None)
    }

    /// One value. `list`: it is an item without a key of the list at that path.
    pub(super) fn leaf(&mut self, path: &str, rule: &FieldRule, here: Here<'_>, list: Option<&str>) -> Made {
        let moved = self.moved(path, rule, here, list);
        let base = here.base.flatten();
        let part = |less: Side<'_>, more: Side<'_>| match (less, more) {
            (Some(less), Some(more)) => extends(less, more, rule),
            _ => false,
        };
        let text = |side: Side<'_>| side.and_then(Value::as_str).map(str::to_owned);
        let listed = match (text(base), text(here.theirs)) {
            (Some(sent), Some(back)) => rule.answers.get(&sent).is_some_and(|words| words.contains(&back)),
            _ => false,
        };
        let change = Change {
            occasion: self.occasion,
            owner: rule.owner,
            based: here.base.is_some(),
            we: moved.we,
            they: moved.they,
            was_settled: moved.was_settled,
            ours: !absent(here.said, rule),
            theirs: !absent(here.theirs, rule),
            added: absent(base, rule) || part(base, here.theirs),
            shrunk: part(here.theirs, base),
            listed,
        };
        self.apply(verdict(change), path, rule.owner, here)
    }

    /// Forms of one choice: an object says at most one of them, so they are decided together and told one by one.
    fn choice<'n>(&mut self, mates: &[(&'n str, String, &FieldRule, Here<'_>)]) -> Vec<(&'n str, Made)> {
        let differs = |(_, _, rule, here): &(&str, String, &FieldRule, Here<'_>)| !same(here.said, here.theirs, rule);
        let all = |mates: &mut dyn Iterator<Item = Moved>| {
            mates.fold(Moved::default(), |all, one| Moved {
                we: all.we || one.we,
                they: all.they || one.they,
                was_settled: all.was_settled || one.was_settled,
            })
        };
        let moved = |mate: &(&str, String, &FieldRule, Here<'_>)| self.moved(&mate.1, mate.2, mate.3, None);
        let of_those = all(&mut mates.iter().filter(|mate| differs(mate)).map(moved));
        let moved = if of_those.was_settled { of_those } else { all(&mut mates.iter().map(moved)) };
        let owner = mates[0].2.owner;
        let owner = if mates.iter().all(|mate| mate.2.owner == owner) { owner } else { Owner::Review };
        let change = Change {
            occasion: self.occasion,
            owner,
            based: mates[0].3.base.is_some(),
            we: moved.we,
            they: moved.they,
            was_settled: moved.was_settled,
            ours: mates.iter().any(|(_, _, rule, here)| !absent(here.said, rule)),
            theirs: mates.iter().any(|(_, _, rule, here)| !absent(here.theirs, rule)),
            added: mates.iter().all(|(_, _, rule, here)| absent(here.base.flatten(), rule)),
            shrunk: false,
            listed: false,
        };
        let verdict = verdict(change);
        let mut made = Vec::with_capacity(mates.len());
        for mate in mates {
            let (name, path, _, here) = mate;
            made.push((
                *name,
                if differs(mate) {
                    self.apply(verdict, path, owner, *here)
                } else {
                    Made { here: here.ours.cloned(), there: here.theirs.cloned() }
                },
            ));
        }
        made
    }

    fn moved(&self, path: &str, rule: &FieldRule, here: Here<'_>, list: Option<&str>) -> Moved {
        let by_base = match here.base {
            Some(base) => (!same(base, here.said, rule), !same(base, here.theirs, rule)),
            // Without a base, what only one side has was added there.
            None => (!absent(here.said, rule), !absent(here.theirs, rule)),
        };
        let by_base = Moved { we: by_base.0, they: by_base.1, was_settled: false };
        if self.settled.is_empty() {
            return by_base;
        }
        let (ours, theirs) = (hash(here.said, rule), hash(here.theirs, rule));
        if let Some(pair) = self.settled.get(path) {
            let (we, they) = (pair.ours != ours, pair.theirs != theirs);
            if !(we && they) {
                return Moved { we, they, was_settled: true };
            }
        }
        let Some(list) = list else { return by_base };
        let still = |own: &Option<String>, then: &Option<String>| own.is_some() && own == then;
        let (mut we, mut they) = (true, true);
        for pair in super::list::settled_items(self.settled, list) {
            we &= !still(&ours, &pair.ours);
            they &= !still(&theirs, &pair.theirs);
        }
        match (we, they) {
            (false, true) => Moved { we: false, they: true, was_settled: true },
            (true, false) => Moved { we: true, they: false, was_settled: true },
            // Neither is known, or both from other pairs.
            _ => by_base,
        }
    }

    /// Carries a verdict out, and notes it.
    pub(super) fn apply(&mut self, verdict: Verdict, path: &str, owner: Owner, here: Here<'_>) -> Made {
        let field = || Field {
            path: path.to_owned(),
            base: here.base.flatten().cloned(),
            ours: here.said.cloned(),
            theirs: here.theirs.cloned(),
            owner,
        };
        let merged = &mut self.merged;
        match verdict {
            Verdict::Ours => merged.keeps_ours = true,
            Verdict::Theirs => merged.taken.push(field()),
            Verdict::Yielded => merged.yielded.push(field()),
            Verdict::Overruled => {
                merged.keeps_ours = true;
                merged.overruled.push(field());
            }
            Verdict::Asked => merged.conflicts.push(field()),
            Verdict::Dropped => merged.dropped.push(field()),
            Verdict::Settled => merged.settled.push(path.to_owned()),
        }
        let (ours, theirs) = (here.ours.cloned(), here.theirs.cloned());
        match verdict {
            Verdict::Ours | Verdict::Overruled => Made { there: ours.clone(), here: ours },
            Verdict::Theirs | Verdict::Yielded => {
                merged.takes_theirs = true;
                Made { here: theirs.clone(), there: theirs }
            }
            Verdict::Asked | Verdict::Dropped | Verdict::Settled => Made { here: ours, there: theirs },
        }
    }
}

/// What every object has without saying so.
fn is_core(path: &str, name: &str) -> bool {
    path.is_empty() && matches!(name, "id" | "version")
}

/// The pointer to a member.
fn step(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}
