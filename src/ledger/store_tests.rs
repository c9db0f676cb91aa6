//! The conformance suite of stores: every store passes it.

use super::{
    Hash,
    bodies::Front,
    memory::MemoryFolds,
    sled_store::SledStore,
    store::{Applied, Batch, Store},
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
    store.write(changes, one).unwrap();
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
    store.write(batch(&[("a\0y", None), ("a\0x", Some("9")), ("none", None)]), two).unwrap();
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
