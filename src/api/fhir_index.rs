//! Which objects have which search keys, in memory, rebuilt from the ledger after a start. Keys are kept as hashes and
//! never taken back: a look-up may find too much, never too little; whoever asks filters exactly.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::domain::{ObjectId, ObjectName};

#[derive(Default)]
struct Kind {
    objects: Vec<(ObjectName, ObjectId)>,
    numbers: HashMap<(ObjectName, ObjectId), usize>,
    keys: HashMap<u64, Vec<u32>>,
}

/// The index of all types.
#[derive(Default)]
pub(super) struct Index {
    /// The entry up to which everything is in.
    pub applied: u64,
    kinds: HashMap<String, Kind>,
}

fn hashed(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

impl Index {
    /// Adds what an object can be found by now.
    pub fn put(&mut self, kind: &str, object: &ObjectName, id: &ObjectId, keys: &[String]) {
        let kind = self.kinds.entry(kind.to_owned()).or_default();
        let name = (object.clone(), id.clone());
        let next = kind.objects.len();
        let number = *kind.numbers.entry(name.clone()).or_insert(next);
        if number == next {
            kind.objects.push(name);
        }
        let Ok(number) = u32::try_from(number) else { return };
        for key in keys {
            let list = kind.keys.entry(hashed(key)).or_default();
            if list.last() != Some(&number) {
                list.push(number);
            }
        }
    }

    /// The objects of a type that may have one of these keys; all if none are given.
    pub fn find(&self, kind: &str, any_of: Option<&[String]>) -> Vec<(ObjectName, ObjectId)> {
        let Some(kind) = self.kinds.get(kind) else { return Vec::new() };
        let Some(any_of) = any_of else { return kind.objects.clone() };
        let mut numbers = BTreeSet::new();
        for key in any_of {
            numbers.extend(kind.keys.get(&hashed(key)).into_iter().flatten().copied());
        }
        numbers.into_iter().filter_map(|number| kind.objects.get(number as usize).cloned()).collect()
    }
}
