//! The conformance suite of stores: every store passes it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{
    Hash, LedgerError,
    behind::Behind,
    bodies::Front,
    memory::MemoryFolds,
    sled_store::SledStore,
    store::{Applied, Batch, Store, Visit},
};

fn batch(changes: &[(&str, Option<&str>)]) -> Batch {
    changes.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.map(|v| v.as_bytes().to_vec()))).collect()
}

fn keys(store: &dyn Store, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut visit = |key: &[u8], _: &[u8]| {
        found.push(String::from_utf8(key.to_vec()).unwrap());
        Ok(found.len() < limit)
    };
    store.scan(prefix.as_bytes(), after.map(str::as_bytes), &mut visit).unwrap();
    found
}

fn conforms(store: &dyn Store) {
    assert_eq!(store.applied().unwrap(), Applied::NOTHING);
    assert_eq!(store.get(b"a").unwrap(), None);
    let one = Applied { seq: 7, hash: Hash::of(b"7"), bodies: Front { segment: 1, offset: 70 } };
    let changes = batch(&[("a\0x", Some("1")), ("a\0y", Some("2")), ("a\0z", Some("3")), ("b", Some(""))]);
    store.write(&changes, one).unwrap();
    assert_eq!(store.applied().unwrap(), one);
    assert_eq!(store.get(b"a\0y").unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(store.get(b"b").unwrap().as_deref(), Some(&b""[..]), "empty is not absent");
    assert_eq!(keys(store, "a\0", None, 9), ["a\0x", "a\0y", "a\0z"], "in order, only the prefix");
    assert_eq!(keys(store, "a\0", None, 2), ["a\0x", "a\0y"], "stops when told");
    assert_eq!(keys(store, "a\0", Some("a\0x"), 9), ["a\0y", "a\0z"], "strictly after");
    assert_eq!(keys(store, "a\0", Some("a\0xx"), 9), ["a\0y", "a\0z"], "after what does not exist");
    assert_eq!(keys(store, "a\0", Some("a\0z"), 9), [""; 0]);
    assert_eq!(keys(store, "c", None, 9), [""; 0]);
    let two = Applied { seq: 8, hash: Hash::of(b"8"), bodies: Front { segment: 2, offset: 1 << 40 } };
    store.write(&batch(&[("a\0y", None), ("a\0x", Some("9")), ("none", None)]), two).unwrap();
    assert_eq!(keys(store, "a\0", None, 9), ["a\0x", "a\0z"], "removed");
    assert_eq!(store.get(b"a\0x").unwrap().as_deref(), Some(&b"9"[..]), "replaced");
    assert_eq!(store.applied().unwrap(), two);
    store.flush().unwrap();
    // A visitor may read the store.
    let mut read = 0;
    let mut visit = |key: &[u8], value: &[u8]| {
        read += usize::from(store.get(key)?.as_deref() == Some(value));
        Ok(true)
    };
    store.scan(b"a\0", None, &mut visit).unwrap();
    assert_eq!(read, 2);
}

#[test]
fn memory_conforms() {
    conforms(&MemoryFolds::default());
}

#[test]
fn sled_conforms_and_keeps() {
    let folder = tempfile::tempdir().unwrap();
    conforms(&SledStore::open(folder.path()).unwrap());
    let again = SledStore::open(folder.path()).unwrap();
    assert_eq!(again.applied().unwrap().seq, 8);
    assert_eq!(keys(&again, "a\0", None, 9), ["a\0x", "a\0z"]);
}

/// A store that takes nothing in before it is told to, and then slowly.
#[derive(Default)]
struct Slow {
    memory: MemoryFolds,
    may: AtomicBool,
}

impl Store for Slow {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LedgerError> {
        self.memory.get(key)
    }
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), LedgerError> {
        self.memory.scan(prefix, after, visit)
    }
    fn write(&self, batch: &Batch, applied: Applied) -> Result<(), LedgerError> {
        while !self.may.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        self.memory.write(batch, applied)
    }
    fn applied(&self) -> Result<Applied, LedgerError> {
        self.memory.applied()
    }
    fn settled(&self) -> Result<Applied, LedgerError> {
        self.memory.applied()
    }
    fn flush(&self) -> Result<(), LedgerError> {
        Ok(())
    }
}

#[test]
fn rows_in_memory_conform() {
    // All in memory, all below, and what is between.
    let slow = Arc::new(Slow::default());
    slow.may.store(true, Ordering::SeqCst);
    conforms(&Behind::over(slow).unwrap());
    conforms(&Behind::over(Arc::new(MemoryFolds::default())).unwrap());
    let folder = tempfile::tempdir().unwrap();
    conforms(&Behind::over(Arc::new(SledStore::open(folder.path()).unwrap())).unwrap());
    assert_eq!(SledStore::open(folder.path()).unwrap().applied().unwrap().seq, 8, "all is below when it ends");
}

#[test]
fn what_is_not_below_yet_is_read_and_not_promised() {
    let slow = Arc::new(Slow::default());
    let behind = Behind::over(Arc::clone(&slow) as Arc<dyn Store>).unwrap();
    let at = |seq| Applied { seq, ..Applied::NOTHING };
    slow.may.store(true, Ordering::SeqCst);
    behind.write(&batch(&[("k\0a", Some("1")), ("k\0b", Some("1")), ("k\0d", Some("1"))]), at(1)).unwrap();
    behind.flush().unwrap();
    assert_eq!(behind.settled().unwrap().seq, 1);
    slow.may.store(false, Ordering::SeqCst);
    // The first of these is frozen by the time that the second comes, or both are in one table: it must not matter.
    behind.write(&batch(&[("k\0b", None), ("k\0c", Some("2"))]), at(2)).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    behind.write(&batch(&[("k\0a", Some("3")), ("k\0c", None), ("k\0e", Some("3"))]), at(3)).unwrap();
    assert_eq!(keys(&behind, "k\0", None, 9), ["k\0a", "k\0d", "k\0e"]);
    assert_eq!(keys(&behind, "k\0", Some("k\0a"), 1), ["k\0d"]);
    assert_eq!((behind.get(b"k\0b").unwrap(), behind.get(b"k\0a").unwrap().as_deref()), (None, Some(&b"3"[..])));
    assert_eq!((behind.applied().unwrap().seq, behind.settled().unwrap().seq), (3, 1));
    slow.may.store(true, Ordering::SeqCst);
    behind.flush().unwrap();
    assert_eq!((behind.settled().unwrap().seq, keys(&*slow, "k\0", None, 9).len()), (3, 3));
}
