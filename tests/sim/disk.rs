//! The gateway's disk: files in memory that remember what was synced. A power cut keeps of everything else what an unsynced disk may
//! keep: any sectors of any write, any length that a file had since, any of the names that were not synced. A killed process
//! loses nothing that it had written, and can die at any write. The disk can be full for a while (and say so, or not), fail to
//! sync, and be put back to a backup.

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
    ledger::{self, Folds, Ledger, Media, MediaFile, MemoryFolds, Open, Writing},
};

use super::{
    coverage,
    time::{Life, Time},
};

const SECTOR: usize = 512;

/// A change of a file that was not synced yet.
#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Debug, Default)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
    since: Vec<Change>,
}

impl Content {
    fn write(&mut self, bytes: &[u8], at: usize) {
        put(&mut self.now, bytes, at);
        self.since.push(Change::Write { at, bytes: bytes.to_vec() });
    }

    fn resize(&mut self, length: usize) {
        self.now.resize(length, 0);
        self.since.push(Change::Length(length));
    }

    fn sync(&mut self) {
        self.synced.clone_from(&self.now);
        self.since.clear();
    }

    /// What is left after a power cut.
    fn cut(&mut self, chance: &mut fastrand::Rng) {
        if self.since.is_empty() {
            return;
        }
        // Any length that it had since the sync.
        let mut lengths = vec![self.synced.len()];
        for change in &self.since {
            let last = lengths.last().copied().unwrap_or(0);
            lengths.push(match change {
                Change::Write { at, bytes } => last.max(at + bytes.len()),
                Change::Length(length) => *length,
            });
        }
        let length = lengths[chance.usize(0..lengths.len())];
        let mut left = self.synced.clone();
        left.resize(left.len().max(lengths.iter().copied().max().unwrap_or(0)), 0);
        // All, nothing, or some of the sectors, each written in its order.
        let keeps = [0, 128, 255, 256][chance.usize(0..4)];
        for change in &self.since {
            let Change::Write { at, bytes } = change else { continue };
            let mut from = 0;
            while from < bytes.len() {
                let to = ((at + from) / SECTOR * SECTOR + SECTOR - at).min(bytes.len());
                if chance.u32(0..256) < keeps {
                    put(&mut left, &bytes[from..to], at + from);
                }
                from = to;
            }
        }
        left.truncate(length);
        self.now = left;
        self.sync();
    }
}

fn put(into: &mut Vec<u8>, bytes: &[u8], at: usize) {
    if into.len() < at + bytes.len() {
        into.resize(at + bytes.len(), 0);
    }
    into[at..at + bytes.len()].copy_from_slice(bytes);
}

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

/// The disk as one life sees it: when that is over, nothing has an effect any more.
struct Mounted {
    disk: Arc<SimDisk>,
    life: Arc<Life>,
}

fn dead() -> io::Error {
    io::Error::other("the process is dead")
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Mounted {
    fn effect(&self) -> io::Result<MutexGuard<'_, Names>> {
        if self.life.effect() { Ok(held(&self.disk.names)) } else { Err(dead()) }
    }
}

impl Media for Mounted {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn MediaFile>> {
        let file = match how {
            Open::Read => match held(&self.disk.names).now.get(path) {
                Some(Node::File(file)) => file.clone(),
                _ => return Err(missing()),
            },
            Open::Write | Open::New => {
                let mut names = self.effect()?;
                let in_folder = path.parent().is_some_and(|parent| matches!(names.now.get(parent), Some(Node::Folder)));
                if !in_folder {
                    return Err(missing());
                }
                match names.now.get(path) {
                    Some(Node::File(file)) => {
                        let file = file.clone();
                        if how == Open::New {
                            held(&file).resize(0);
                        }
                        file
                    }
                    Some(Node::Folder) => return Err(io::ErrorKind::IsADirectory.into()),
                    None => {
                        let file = File::default();
                        names.now.insert(path.to_owned(), Node::File(file.clone()));
                        file
                    }
                }
            }
        };
        Ok(Arc::new(OpenFile { file, disk: self.disk.clone(), life: self.life.clone() }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let names = held(&self.disk.names);
        if !matches!(names.now.get(folder), Some(Node::Folder)) {
            return Err(missing());
        }
        Ok(names.now.keys().filter(|path| path.parent() == Some(folder)).cloned().collect())
    }

    fn exists(&self, path: &Path) -> bool {
        held(&self.disk.names).now.contains_key(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut names = self.effect()?;
        let mut above: Vec<&Path> = path.ancestors().filter(|path| *path != Path::new("/")).collect();
        above.reverse();
        for folder in above {
            names.now.entry(folder.to_owned()).or_insert(Node::Folder);
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut names = self.effect()?;
        let node = names.now.remove(from).ok_or_else(missing)?;
        names.now.insert(to.to_owned(), node);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.effect()?.now.remove(path).map(drop).ok_or_else(missing)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.effect()?.now.retain(|name, _| !name.starts_with(path));
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut names = self.effect()?;
        let names = &mut *names;
        // The folder's own name lasts with it, as on the file systems in use.
        let within = |name: &PathBuf| name.parent() == Some(path) || name == path;
        names.synced.retain(|name, _| !within(name));
        names
            .synced
            .extend(names.now.iter().filter(|(name, _)| within(name)).map(|(name, node)| (name.clone(), node.clone())));
        Ok(())
    }

    fn free(&self, _folder: &Path) -> io::Result<u64> {
        let trouble = held(&self.disk.trouble);
        let is_small = trouble.says_so && self.disk.time.elapsed() < trouble.full_until;
        Ok(if is_small { trouble.room } else { 1 << 40 })
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        if self.disk.locked.swap(true, Ordering::Relaxed) {
            return Ok(None);
        }
        Ok(Some(Box::new(Unlock(self.disk.locked.clone()))))
    }
}

struct Unlock(Arc<AtomicBool>);

impl Drop for Unlock {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

struct OpenFile {
    file: File,
    disk: Arc<SimDisk>,
    life: Arc<Life>,
}

impl OpenFile {
    fn effect(&self) -> io::Result<MutexGuard<'_, Content>> {
        if self.life.effect() { Ok(held(&self.file)) } else { Err(dead()) }
    }
}

impl MediaFile for OpenFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let content = held(&self.file);
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.now.len());
        let length = into.len().min(content.now.len() - from);
        into[..length].copy_from_slice(&content.now[from..from + length]);
        Ok(length)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(|_| missing())?;
        let mut content = self.effect()?;
        let grows = (at + bytes.len()).saturating_sub(content.now.len());
        let mut trouble = held(&self.disk.trouble);
        if self.disk.time.elapsed() < trouble.full_until {
            let room = usize::try_from(trouble.room).unwrap_or(usize::MAX);
            trouble.room -= room.min(grows) as u64;
            if grows > room {
                // As much as there is room for.
                content.write(&bytes[..bytes.len() - (grows - room)], at);
                coverage::count("a write finds the disk full");
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        content.write(bytes, at);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(held(&self.file).now.len() as u64)
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.effect()?.resize(usize::try_from(length).map_err(|_| missing())?);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut content = self.effect()?;
        let mut trouble = held(&self.disk.trouble);
        if std::mem::take(&mut trouble.sync_fails) {
            trouble.sync_failed = true;
            coverage::count("a sync fails");
            return Err(io::Error::other("the medium did not confirm"));
        }
        content.sync();
        Ok(())
    }
}
