//! Which items of three lists are one: what was settled together, what is equal, what has the same key; and where there is
//! no key, what an item that is missing on a side has most in common with.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    Settled,
    field::{FieldRule, Unit},
    form::{bytes, extends, member, same, sum},
    list::settled_items,
};

/// An item with what it is recognised by.
pub(super) struct Item<'a> {
    /// Its index.
    pub(super) at: usize,
    pub(super) value: &'a Value,
    pub(super) form: Vec<u8>,
    pub(super) key: Option<Vec<u8>>,
}

/// Up to three items that are one, by their places among [`items`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trio {
    pub(super) base: Option<usize>,
    pub(super) ours: Option<usize>,
    pub(super) theirs: Option<usize>,
    /// It has a key, so that its members are fields of their own.
    pub(super) keyed: bool,
    pub(super) settled: bool,
}

impl Trio {
    fn is_apart_from(&self, other: &Self) -> bool {
        !(self.base.is_some() && other.base.is_some()
            || self.ours.is_some() && other.ours.is_some()
            || self.theirs.is_some() && other.theirs.is_some())
    }

    fn is_whole(&self) -> bool {
        self.ours.is_some() && self.theirs.is_some()
    }

    fn absorb(&mut self, other: Self) {
        self.base = self.base.or(other.base);
        self.ours = self.ours.or(other.ours);
        self.theirs = self.theirs.or(other.theirs);
    }
}

/// The items that say something; of equal ones the first.
pub(super) fn items<'a>(list: &'a [Value], rule: &FieldRule) -> Vec<Item<'a>> {
    let mut seen = std::collections::HashSet::new();
    let item = |(at, value): (usize, &'a Value)| {
        let form = bytes(value, rule)?;
        seen.insert(form.clone()).then(|| Item { at, value, form, key: key(value, rule) })
    };
    list.iter().enumerate().filter_map(item).collect()
}

/// The key; none where the list has none or the item says nothing of it.
fn key(value: &Value, rule: &FieldRule) -> Option<Vec<u8>> {
    let members = value.as_object()?;
    let parts = rule.key.iter().map(|name| bytes(members.get(&**name)?, member(rule, name)));
    let parts: Vec<Vec<u8>> = parts.map(Option::unwrap_or_default).collect();
    parts.iter().any(|part| !part.is_empty()).then(|| parts.join(&0x1f))
}

/// The three lists' items under one roof.
struct Lists<'l, 'a> {
    base: &'l [Item<'a>],
    ours: &'l [Item<'a>],
    theirs: &'l [Item<'a>],
}

impl<'l, 'a> Lists<'l, 'a> {
    /// What a trio is recognised by.
    fn item(&self, trio: &Trio) -> Option<&'l Item<'a>> {
        let own = trio.base.map(|at| &self.base[at]).or(trio.ours.map(|at| &self.ours[at]));
        own.or(trio.theirs.map(|at| &self.theirs[at]))
    }
}

pub(super) fn pair(
    base: &[Item<'_>],
    ours: &[Item<'_>],
    theirs: &[Item<'_>],
    rule: &FieldRule,
    settled: &Settled,
    path: &str,
) -> Vec<Trio> {
    let lists = Lists { base, ours, theirs };
    let mut done = Vec::new();
    let (mut free_ours, mut free_theirs) = (vec![true; ours.len()], vec![true; theirs.len()]);
    let mut free_base = vec![true; base.len()];
    for pair in settled_items(settled, path) {
        let find = |items: &[Item<'_>], free: &[bool], hash: &Option<String>| {
            let hash = hash.as_ref()?;
            items.iter().position(|item| sum(&item.form) == *hash).filter(|at| free[*at])
        };
        let trio = Trio {
            ours: find(ours, &free_ours, &pair.ours),
            theirs: find(theirs, &free_theirs, &pair.theirs),
            base: find(base, &free_base, &pair.base),
            settled: true,
            ..Trio::default()
        };
        // An item of one side only is settled as long as the other has none like it.
        let there = |items: &[Item<'_>], at: Option<usize>, own: &[Item<'_>]| {
            at.is_some_and(|at| items.iter().any(|item| item.form == own[at].form))
        };
        let holds = match (&pair.ours, &pair.theirs) {
            (Some(_), Some(_)) => trio.is_whole(),
            (Some(_), None) => trio.ours.is_some() && !there(theirs, trio.ours, ours),
            (None, Some(_)) => trio.theirs.is_some() && !there(ours, trio.theirs, theirs),
            (None, None) => false,
        };
        if holds {
            trio.ours.into_iter().for_each(|at| free_ours[at] = false);
            trio.theirs.into_iter().for_each(|at| free_theirs[at] = false);
            trio.base.into_iter().for_each(|at| free_base[at] = false);
            done.push(trio);
        }
    }
    beside_settled(&lists, &mut done, [&free_ours, &free_theirs], &mut free_base, rule);
    let mut trios = equal(&lists, [&free_base, &free_ours, &free_theirs]);
    if !rule.key.is_empty() {
        trios = by_key(&lists, trios);
    }
    likened(&lists, &mut trios, rule);
    done.extend(trios);
    done
}

/// What a settled pair was before is no other item's past: for each that does not know it the base item that is most like it,
/// unless that stands somewhere as it was.
fn beside_settled(
    lists: &Lists<'_, '_>,
    settled: &mut [Trio],
    free: [&[bool]; 2],
    left: &mut [bool],
    rule: &FieldRule,
) {
    let stands = |form: &[u8]| {
        [(lists.ours, free[0]), (lists.theirs, free[1])]
            .into_iter()
            .any(|(items, free)| items.iter().zip(free).any(|(item, free)| *free && item.form == form))
    };
    for trio in settled.iter_mut().filter(|trio| trio.base.is_none()) {
        let own = [trio.ours.map(|at| &lists.ours[at]), trio.theirs.map(|at| &lists.theirs[at])];
        let like = |item: &Item<'_>| {
            let like = |own: &Item<'_>| match own.form == item.form {
                true => 101,
                false => likeness(item.value, own.value, rule, false),
            };
            own.into_iter().flatten().map(like).max().unwrap_or(0)
        };
        let open = lists.base.iter().enumerate().filter(|(at, item)| left[*at] && !stands(&item.form));
        let best = open.map(|(at, item)| (like(item), at)).filter(|(like, _)| *like > 0).max();
        if let Some((_, at)) = best {
            left[at] = false;
            trio.base = Some(at);
        }
    }
}

/// Equal items are one.
fn equal(lists: &Lists<'_, '_>, free: [&[bool]; 3]) -> Vec<Trio> {
    let mut trios: Vec<Trio> = Vec::new();
    let mut known: HashMap<&[u8], usize> = HashMap::new();
    let mut add = |form, trio: Trio| match known.get(form) {
        Some(at) => trios[*at].absorb(trio),
        None => {
            known.insert(form, trios.len());
            trios.push(trio);
        }
    };
    for (at, item) in lists.ours.iter().enumerate().filter(|(at, _)| free[1][*at]) {
        add(&item.form, Trio { ours: Some(at), keyed: item.key.is_some(), ..Trio::default() });
    }
    for (at, item) in lists.theirs.iter().enumerate().filter(|(at, _)| free[2][*at]) {
        add(&item.form, Trio { theirs: Some(at), keyed: item.key.is_some(), ..Trio::default() });
    }
    for (at, item) in lists.base.iter().enumerate().filter(|(at, _)| free[0][*at]) {
        add(&item.form, Trio { base: Some(at), keyed: item.key.is_some(), ..Trio::default() });
    }
    trios
}

/// Items with one key are one, in their order.
fn by_key(lists: &Lists<'_, '_>, mut trios: Vec<Trio>) -> Vec<Trio> {
    trios.sort_by_key(|trio| (trio.base.is_none(), trio.base, trio.ours.is_none(), trio.ours, trio.theirs));
    let mut joined: Vec<Trio> = Vec::with_capacity(trios.len());
    let mut known: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for trio in trios {
        let key = lists.item(&trio).and_then(|item| item.key.as_deref());
        let Some(key) = key else {
            joined.push(trio);
            continue;
        };
        let others = known.entry(key).or_default();
        match others.iter().find(|at| joined[**at].is_apart_from(&trio)) {
            Some(at) => joined[*at].absorb(trio),
            None => {
                others.push(joined.len());
                joined.push(trio);
            }
        }
    }
    joined
}

/// As many items without partner are compared with each other; in longer lists they count as removed and added.
const COMPARED: usize = 100;

/// Items that no key tells apart: what is missing on a side is what was added there and has most in common with it. First
/// those that have a base, so that an item that both sides changed is found to be one.
fn likened(lists: &Lists<'_, '_>, trios: &mut Vec<Trio>, rule: &FieldRule) {
    let open = trios.iter().filter(|trio| !trio.is_whole()).count();
    if matches!(rule.unit, Unit::Apart | Unit::Strict) || open > COMPARED {
        return;
    }
    let mut found = Vec::new();
    for (at, trio) in trios.iter().enumerate().filter(|(_, trio)| !trio.is_whole()) {
        for (from, other) in trios.iter().enumerate().filter(|(_, other)| !other.is_whole() && other.base.is_none()) {
            let added = trio.base.is_none();
            if from == at || !trio.is_apart_from(other) || (added && from < at) {
                continue;
            }
            let (Some(a), Some(b)) = (lists.item(trio), lists.item(other)) else { continue };
            let likeness = match trio.keyed && other.keyed {
                true => usize::from(keys_alike(a.value, b.value, rule)) * 100,
                false => likeness(a.value, b.value, rule, added),
            };
            if likeness > 0 {
                found.push((added, std::cmp::Reverse(likeness), at, from));
            }
        }
    }
    found.sort_unstable();
    let mut gone = vec![false; trios.len()];
    for (_, _, at, from) in found {
        if gone[at] || gone[from] || trios[at].is_whole() || !trios[at].is_apart_from(&trios[from]) {
            continue;
        }
        let other = trios[from];
        trios[at].absorb(other);
        // Under two keys it has two names, so it is one value.
        trios[at].keyed = false;
        gone[from] = true;
    }
    let mut gone = gone.into_iter();
    trios.retain(|_| !gone.next().unwrap_or(false));
}

/// How much two items have in common, in hundredths of what they say; 0: they are two. Half is enough; where neither had a
/// base (`added`), they must not contradict each other.
fn likeness(a: &Value, b: &Value, rule: &FieldRule, added: bool) -> usize {
    let (Value::Object(a), Value::Object(b)) = (a, b) else { return 0 };
    let agree =
        a.iter().filter(|(name, value)| b.get(*name).is_some_and(|other| alike(value, other, member(rule, name))));
    let agree = agree.count();
    let common = a.keys().filter(|name| b.contains_key(*name)).count();
    let all = a.len() + b.len() - common;
    let enough = if added { agree == common && agree * 2 >= a.len().min(b.len()) } else { agree * 2 >= all };
    if enough && agree > 0 { agree * 100 / all } else { 0 }
}

/// Whether two keys can be one: an EHR has added to a concept, say, that is one.
fn keys_alike(a: &Value, b: &Value, rule: &FieldRule) -> bool {
    rule.key.iter().all(|name| match (a.get(&**name), b.get(&**name)) {
        (Some(a), Some(b)) => alike(a, b, member(rule, name)),
        (a, b) => same(a, b, member(rule, name)),
    })
}

/// Whether two values are the same, or one says more than the other, or they are sets that share something.
fn alike(a: &Value, b: &Value, rule: &FieldRule) -> bool {
    let shared = || match (a, b) {
        (Value::Array(a), Value::Array(b)) if !rule.ordered => {
            a.iter().any(|item| b.iter().any(|other| same(Some(item), Some(other), rule)))
        }
        _ => extends(a, b, rule) || extends(b, a, rule),
    };
    same(Some(a), Some(b), rule) || shared()
}
