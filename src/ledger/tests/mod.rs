//! The ledger's tests: flows through the folds, groups and conditions, crashes and damage.

mod audits;
mod crash;
mod flow;
mod kill;
mod states;
mod truth;

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::*;
use crate::{
    clock::{ManualClock, SharedClock},
    domain::{ObjectId, ObjectName, SystemName},
};

pub(super) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new("2026-11-22T10:00:00Z".parse().unwrap(), 1))
}

/// A disk that fails on request.
#[derive(Default)]
pub(super) struct BadDisk {
    asked: Arc<Asked>,
}

#[derive(Default)]
pub(super) struct Asked {
    pub sync_fails: AtomicBool,
    pub full: AtomicBool,
    pub free: AtomicU64,
    pub syncs: AtomicU64,
}

impl std::ops::Deref for BadDisk {
    type Target = Asked;
    fn deref(&self) -> &Asked {
        &self.asked
    }
}

struct BadFile(Arc<dyn MediaFile>, Arc<Asked>);

impl MediaFile for BadFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(into, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
    fn cut(&self, length: u64) -> io::Result<()> {
        self.0.cut(length)
    }
    fn sync(&self) -> io::Result<()> {
        self.1.syncs.fetch_add(1, Ordering::SeqCst);
        if self.1.sync_fails.load(Ordering::SeqCst) { Err(io::Error::other("injected EIO")) } else { self.0.sync() }
    }
}

impl Media for BadDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn MediaFile>> {
        Ok(Arc::new(BadFile(Disk.open(path, how)?, Arc::clone(&self.asked))))
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<std::path::PathBuf>> {
        Disk.list(folder)
    }
    fn exists(&self, path: &Path) -> bool {
        Disk.exists(path)
    }
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        Disk.make_folder(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        Disk.remove_folder(path)
    }
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        Disk.sync_folder(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        Disk.lock(path)
    }
    fn free(&self, _: &Path) -> io::Result<u64> {
        let free = self.free.load(Ordering::SeqCst);
        Ok(if self.full.load(Ordering::SeqCst) {
            4096
        } else if free > 0 {
            free
        } else {
            1 << 40
        })
    }
}

/// Options that remember why the process should have stopped.
pub(super) fn options(clock: SharedClock, media: Arc<dyn Media>) -> (Options, Arc<Mutex<Vec<String>>>) {
    let fatal = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&fatal);
    let options = Options {
        media,
        on_fatal: Arc::new(move |why| told.lock().unwrap().push(why.to_owned())),
        ..Options::new(clock)
    };
    (options, fatal)
}

pub(super) fn open(folder: &Path) -> Ledger {
    Ledger::open(folder, options(clock(), Arc::new(Disk)).0).unwrap()
}

pub(super) fn name(text: &str) -> ObjectName {
    ObjectName::new(text).unwrap()
}
pub(super) fn id(text: &str) -> ObjectId {
    ObjectId::new(text).unwrap()
}
pub(super) fn system(text: &str) -> SystemName {
    SystemName::new(text).unwrap()
}

/// An object accepted for the systems `a` (and `b`).
pub(super) fn accept(object_id: &str, version: u64, body: &str, systems: &[&str]) -> Proposal {
    let (object, object_id) = (name("appointment"), id(object_id));
    let targets = systems
        .iter()
        .map(|text| Target { system: system(text), sync_id: SyncId::of(&object, &object_id, &system(text)) })
        .collect();
    let content = Hash::of(body.as_bytes());
    let operation = if version == 1 { Operation::Created } else { Operation::Updated };
    let expect = if version == 1 { Expect::NewOrEqual(content) } else { Expect::Version(version - 1) };
    let fact = Fact::Accepted { operation, content, targets, sent: None };
    let draft = Draft::new(fact, "test", "An appointment was accepted.").about(&object, &object_id, version);
    Proposal::of(draft.body(content)).body(body.to_owned()).check(Check::Object(object, object_id, expect))
}

pub(super) fn sync_of(object_id: &str, at: &str) -> SyncId {
    SyncId::of(&name("appointment"), &id(object_id), &system(at))
}

/// A fact about a sync as it stands.
pub(super) fn about(ledger: &Ledger, sync: &SyncId, fact: Fact) -> Proposal {
    let row = ledger.sync(sync).unwrap().unwrap();
    Proposal::of(Draft::new(fact, "liaison", "Something happened.").sync(&row)).check(Check::SyncAt(row.id, row.seq))
}

pub(super) fn attempted(attempt: u32) -> Fact {
    Fact::Attempted {
        attempt,
        part: "main".to_owned(),
        interaction: "create".to_owned(),
        mapping: Some("m1".to_owned()),
        output: Some(Hash::of(b"out")),
    }
}

pub(super) fn remote(reference: &str, version: &str, body: Option<&str>) -> Remote {
    Remote {
        part: "main".to_owned(),
        reference: reference.to_owned(),
        version: Some(version.to_owned()),
        body: body.map(|body| Hash::of(body.as_bytes())),
        settled: None,
        sent: false,
    }
}

pub(super) fn acknowledged(reference: &str, version: &str, body: &str) -> Fact {
    let remotes = vec![remote(reference, version, Some(body))];
    Fact::Acknowledged { done: true, remotes, mapping: Some("m1".to_owned()), output: Some(Hash::of(b"out")) }
}

pub(super) fn item(kind: ItemKind) -> Item {
    Item {
        kind,
        group: Item::group_of(&["LIA-LDG-004", "a"]),
        subject: None,
        owner: None,
        due_ms: 3_600_000,
        who_is_affected: None,
        next_step: None,
        detail: None,
    }
}

/// Everything the folds hold, for comparing.
pub(super) fn folds(ledger: &Ledger) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut all = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        all.push((key.to_vec(), value.to_vec()));
        Ok(true)
    };
    ledger.core().store.scan(b"", None, &mut visit).unwrap();
    all
}
