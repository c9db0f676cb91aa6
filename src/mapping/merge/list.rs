//! Lists that are sets: item by item. An item that only one side has added is kept, one that a side has removed goes, one
//! that both have changed is merged by its own fields where a key tells it apart, else as one value.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    Occasion, Settled, SettledPair,
    decide::Verdict,
    field::{FieldRule, Unit},
    form::{absent, same, sum},
    pair::{Item, Trio, items, pair},
    settled::hash,
    walk::{Here, Made, Walk},
};
use crate::mapping::Owner;

/// The settled pairs of the items without key of the list at `path`.
pub(super) fn settled_items<'s>(settled: &'s Settled, path: &str) -> impl Iterator<Item = &'s SettledPair> {
    let start = format!("{path}/#");
    settled
        .range(start.clone()..)
        .map_while(move |(path, pair)| Some((path.strip_prefix(&start)?, pair)))
        .filter_map(|(step, pair)| (!step.contains('/')).then_some(pair))
}

/// The steps that name a list's items, in their order.
pub(super) fn names<'i>(items: impl IntoIterator<Item = &'i Item<'i>>) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    items.into_iter().map(|item| name(item, &mut seen)).collect()
}

fn name(item: &Item<'_>, seen: &mut HashMap<String, usize>) -> String {
    let hash = sum(item.key.as_ref().unwrap_or(&item.form));
    let name = format!("#{}", &hash[..12]);
    let count = seen.entry(name.clone()).or_default();
    *count += 1;
    if *count == 1 { name } else { format!("{name}-{count}") }
}

impl Walk<'_> {
    pub(super) fn list(&mut self, path: &str, rule: &FieldRule, here: Here<'_>) -> Made {
        let base = here.base.flatten();
        let nothing = absent(here.theirs, rule);
        // A list that is not shown at all is one field that was dropped, not many items.
        let dropped = self.occasion == Occasion::Answered
            && !absent(base, rule)
            && same(base, here.said, rule)
            && settled_items(self.settled, path).next().is_none();
        let as_one = self.settled.get(path).is_some_and(|pair| pair.ours.is_some() && pair.theirs.is_some());
        if as_one || nothing && (dropped || self.settled.contains_key(path)) {
            return self.leaf(path, rule, here, None);
        }
        let (ours, theirs) = (items(array(here.said), rule), items(array(here.theirs), rule));
        let based = items(array(base), rule);
        // Of a list that was settled as not shown, nothing is sent because they show something now.
        let held_back = self
            .settled
            .get(path)
            .is_some_and(|pair| pair.theirs.is_none() && pair.ours.is_some() && pair.ours == hash(here.said, rule));
        let mut trios = pair(&based, &ours, &theirs, rule, self.settled, path);
        if here.base.is_none() && rule.owner == Owner::Review && may_be_one(&trios) {
            return self.leaf(path, rule, here, None);
        }
        // The names of ours count first, as they will when somebody decides by them.
        trios.sort_by_key(|trio| (trio.ours.is_none(), trio.ours, trio.theirs));
        let raw = raw(here);
        let mut seen = HashMap::new();
        let mut made: Vec<(Trio, Made)> = Vec::with_capacity(trios.len());
        let (takes, keeps) = (self.merged.taken.len() + self.merged.yielded.len(), self.merged.keeps_ours);
        self.merged.keeps_ours = false;
        for trio in trios {
            let known =
                [trio.ours.map(|at| &ours[at]), trio.theirs.map(|at| &theirs[at]), trio.base.map(|at| &based[at])];
            let Some(item) = known.into_iter().flatten().next() else { continue };
            let path_of_item = format!("{path}/{}", name(item, &mut seen));
            let item = Here {
                base: here.base.map(|_| trio.base.map(|at| based[at].value)),
                ours: trio.ours.map(|at| raw(ours[at].at, ours[at].value)),
                said: trio.ours.map(|at| ours[at].value),
                theirs: trio.theirs.map(|at| theirs[at].value),
            };
            let outcome = if trio.settled || (held_back && trio.theirs.is_none()) {
                self.apply(Verdict::Settled, &path_of_item, rule.owner, item)
            } else if item.said.is_none() && item.theirs.is_none() {
                // Both removed it.
                Made::default()
            } else if trio.keyed {
                self.single(&path_of_item, rule, item)
            } else {
                self.unkeyed(&path_of_item, rule, item, path)
            };
            made.push((trio, outcome));
        }
        let keeps_here = std::mem::replace(&mut self.merged.keeps_ours, keeps);
        self.merged.keeps_ours |= keeps_here;
        let takes_here = self.merged.taken.len() + self.merged.yielded.len() > takes;
        let joined = join(made);
        // Unless something changes it, a list stays as it is, with its doubles and in its order.
        Made {
            here: if takes_here { joined.here } else { here.ours.cloned() },
            there: if keeps_here { joined.there } else { here.theirs.cloned() },
        }
    }

    /// An item that no key tells apart: by its members as long as nobody has to decide, else as one value.
    fn unkeyed(&mut self, path: &str, rule: &FieldRule, here: Here<'_>, list: &str) -> Made {
        if same(here.said, here.theirs, rule) {
            return Made { here: here.ours.cloned(), there: here.theirs.cloned() };
        }
        let groups = [here.said, here.theirs].into_iter().all(|side| side.is_some_and(Value::is_object));
        // What was settled with another one is judged as one value.
        let (own, theirs) = (hash(here.said, rule), hash(here.theirs, rule));
        let is_settled = |pair: &SettledPair| {
            (pair.ours.is_some() && pair.ours == own) || (pair.theirs.is_some() && pair.theirs == theirs)
        };
        if rule.unit == Unit::Walked && groups && !settled_items(self.settled, list).any(is_settled) {
            let none = Settled::new();
            let mut inner = Walk { settled: &none, occasion: self.occasion, merged: super::Merged::default() };
            let made = inner.group(path, rule, here);
            let merged = inner.merged;
            if merged.conflicts.is_empty() && merged.overruled.is_empty() && merged.dropped.is_empty() {
                self.merged.keeps_ours |= merged.keeps_ours;
                self.merged.takes_theirs |= merged.takes_theirs;
                self.merged.taken.extend(merged.taken);
                self.merged.yielded.extend(merged.yielded);
                return made;
            }
        }
        self.leaf(path, rule, here, Some(list))
    }
}

/// Whether, without a base, what each side has alone may be the other's, before or after a change: nobody knows which is older,
/// and no two keys say that they are two.
fn may_be_one(trios: &[Trio]) -> bool {
    let alone = |has: fn(&Trio) -> bool, lacks: fn(&Trio) -> bool| {
        trios.iter().filter(move |trio| !trio.settled && has(trio) && lacks(trio))
    };
    let ours = alone(|trio| trio.ours.is_some(), |trio| trio.theirs.is_none());
    let theirs = || alone(|trio| trio.theirs.is_some(), |trio| trio.ours.is_none());
    ours.into_iter().any(|ours| theirs().any(|theirs| !(ours.keyed && theirs.keyed)))
}

fn array(side: Option<&Value>) -> &[Value] {
    side.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Our items as they stand, where the mapping would read back as many.
fn raw<'a>(here: Here<'a>) -> impl Fn(usize, &'a Value) -> &'a Value {
    let array = |side: Option<&'a Value>| side.and_then(Value::as_array);
    let ours = array(here.ours).filter(|ours| Some(ours.len()) == array(here.said).map(Vec::len));
    move |at, said| ours.and_then(|ours| ours.get(at)).unwrap_or(said)
}

/// Both lists: here in our order, their additions behind; there in theirs.
fn join(mut made: Vec<(Trio, Made)>) -> Made {
    let here: Vec<Value> = made.iter_mut().filter_map(|(_, made)| made.here.take()).collect();
    made.sort_by_key(|(trio, _)| (trio.theirs.is_none(), trio.theirs, trio.ours));
    let there: Vec<Value> = made.into_iter().filter_map(|(_, made)| made.there).collect();
    let some = |items: Vec<Value>| (!items.is_empty()).then_some(Value::Array(items));
    Made { here: some(here), there: some(there) }
}
