//! The gateway's disk: files in memory that remember what was synced. A power cut keeps of everything else what an unsynced disk may
//! keep: any sectors of any write, any length that a file had since, any of the names that were not synced. A killed process
//! loses nothing that it had written, and can die at any write. The disk can be full for a while (and say so, or not), fail to
//! sync, and be put back to a backup.

mod content;
mod mounted;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use liaison::{
    clock::SharedClock,
    ledger::{self, Folds, Ledger, MemoryFolds, Writing},
};

use super::time::{Life, Time};
use content::Content;
use mounted::Mounted;

type File = Arc<Mutex<Content>>;

/// What a name stands for.
#[derive(Clone, Debug)]
enum Node {
    File(File),
    Folder,
}

impl Node {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File(one), Self::File(other)) => Arc::ptr_eq(one, other),
            (Self::Folder, Self::Folder) => true,
            _ => false,
        }
    }
}

#[derive(Default)]
struct Names {
    now: BTreeMap<PathBuf, Node>,
    synced: BTreeMap<PathBuf, Node>,
}

/// What ails the disk.
#[derive(Default)]
struct Trouble {
    /// There is little room until then.
    full_until: Duration,
    /// So many bytes more.
    room: u64,
    /// What it says to be free is true; else only a write finds out.
    says_so: bool,
    /// The next sync fails.
    sync_fails: bool,
    /// A sync failed in this life: what the disk holds is not known.
    sync_failed: bool,
}

/// The disk; outlives the gateway's lives.
pub struct SimDisk {
    time: Arc<Time>,
    /// The folds may be found as they were at an earlier end, which a disk that heeds a flush does not do.
    sets_back: bool,
    trouble: Mutex<Trouble>,
    /// What `liaison backup` took.
    backup: Mutex<Option<BTreeMap<PathBuf, Node>>>,
    names: Mutex<Names>,
    chance: Mutex<fastrand::Rng>,
    folds: Mutex<(MemoryFolds, Option<MemoryFolds>)>,
    locked: Arc<AtomicBool>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimDisk {
    pub fn new(seed: u64, time: Arc<Time>, sets_back: bool) -> Self {
        Self {
            time,
            sets_back,
            trouble: Mutex::default(),
            backup: Mutex::default(),
            names: Mutex::default(),
            chance: Mutex::new(fastrand::Rng::with_seed(seed ^ 0xD15C)),
            folds: Mutex::default(),
            locked: Arc::default(),
        }
    }

    /// Opens the ledger on this disk for one life.
    pub fn open_ledger(self: &Arc<Self>, life: &Arc<Life>, clock: SharedClock) -> Result<Ledger, String> {
        let mut options = ledger::Options::new(clock);
        options.on_fatal = Arc::new(|_| {});
        options.media = Arc::new(Mounted { disk: self.clone(), life: life.clone() });
        options.folds = Folds::Memory(held(&self.folds).0.clone());
        options.writing = Writing::Task;
        // Small, so that several segments are met.
        options.segment_bytes = 16 * 1024;
        Ledger::open(Path::new("/ledger"), options).map_err(|error| error.to_string())
    }

    /// From now on there is only so much room, for so long.
    pub fn fill(&self, room: u64, says_so: bool, seconds: u64) {
        let mut trouble = held(&self.trouble);
        trouble.full_until = self.time.elapsed() + Duration::from_secs(seconds);
        (trouble.room, trouble.says_so) = (room, says_so);
    }

    pub fn is_full(&self) -> bool {
        self.time.elapsed() < held(&self.trouble).full_until
    }

    /// Writes what is on the disk into a folder, for looking at it.
    pub fn dump(&self, to: &Path) -> io::Result<()> {
        for (path, node) in &held(&self.names).now {
            let there = to.join(path.strip_prefix("/").unwrap_or(path));
            match node {
                Node::Folder => std::fs::create_dir_all(&there)?,
                Node::File(file) => std::fs::write(&there, &held(file).now)?,
            }
        }
        Ok(())
    }

    /// The next sync fails.
    pub fn fail_sync(&self) {
        held(&self.trouble).sync_fails = true;
    }

    /// A sync failed in this life.
    pub fn has_failed(&self) -> bool {
        held(&self.trouble).sync_failed
    }

    /// Copies what `liaison backup` copies: log and bodies; folds and index are made anew.
    pub fn keep(&self) {
        let names = held(&self.names);
        let mut copy = BTreeMap::new();
        for (path, node) in &names.now {
            let is_truth = ["log", "bodies"].iter().any(|part| path.starts_with(Path::new("/ledger").join(part)));
            let above = Path::new("/ledger").starts_with(path);
            match node {
                Node::Folder if is_truth || above => _ = copy.insert(path.clone(), Node::Folder),
                Node::File(file) if is_truth => _ = copy.insert(path.clone(), copied(file)),
                _ => {}
            }
        }
        *held(&self.backup) = Some(copy);
    }

    /// The backup takes the ledger's place. Whether there is one.
    pub fn restore(&self) -> bool {
        let Some(copy) = held(&self.backup).clone() else { return false };
        let fresh: BTreeMap<PathBuf, Node> = copy
            .iter()
            .map(|(path, node)| {
                let node = if let Node::File(file) = node { copied(file) } else { Node::Folder };
                (path.clone(), node)
            })
            .collect();
        let mut names = held(&self.names);
        names.now.clone_from(&fresh);
        names.synced = fresh;
        *held(&self.folds) = (MemoryFolds::default(), None);
        self.locked.store(false, Ordering::Relaxed);
        held(&self.trouble).sync_failed = false;
        true
    }

    /// A life ended: what the next one finds.
    pub fn crash(&self, power: bool) {
        self.locked.store(false, Ordering::Relaxed);
        {
            let mut trouble = held(&self.trouble);
            (trouble.sync_fails, trouble.sync_failed) = (false, false);
        }
        let mut chance = held(&self.chance);
        let mut folds = held(&self.folds);
        match chance.u8(0..4) {
            // Kept; set back to a state that they had at an earlier end; gone.
            0 if self.sets_back => folds.0 = folds.1.as_ref().map_or_else(MemoryFolds::default, MemoryFolds::copy),
            0 | 1 => folds.0 = MemoryFolds::default(),
            _ => folds.0 = folds.0.copy(),
        }
        if folds.1.is_none() || chance.bool() {
            folds.1 = Some(folds.0.copy());
        }
        if !power {
            return;
        }
        let mut names = held(&self.names);
        let all: std::collections::BTreeSet<PathBuf> = names.now.keys().chain(names.synced.keys()).cloned().collect();
        let mut left = BTreeMap::new();
        for path in all {
            let (now, synced) = (names.now.get(&path), names.synced.get(&path));
            let same = now.zip(synced).is_some_and(|(now, synced)| now.is(synced));
            let kept = if same || chance.bool() { now } else { synced };
            // What lies in a folder that is not there is not there.
            let has_parent = path.parent().is_none_or(|parent| parent == Path::new("/") || left.contains_key(parent));
            if let Some(node) = kept.filter(|_| has_parent) {
                left.insert(path, node.clone());
            }
        }
        for node in left.values() {
            if let Node::File(file) = node {
                held(file).cut(&mut chance);
            }
        }
        names.synced.clone_from(&left);
        names.now = left;
    }
}

/// The same content in a file of its own, all of it synced.
fn copied(file: &File) -> Node {
    let now = held(file).now.clone();
    Node::File(Arc::new(Mutex::new(Content { synced: now.clone(), now, since: Vec::new() })))
}
