//! Kill -9 at random moments under load, and power cuts that drop whatever was not synced: what was confirmed is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    time::Duration,
};

use super::*;
use crate::clock::SystemClock;

const FOLDER: &str = "LIAISON_KILL_TEST_LEDGER";

/// Not a test by itself: what the child of the next one does.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let ledger = Ledger::open(Path::new(&folder), Options::new(Arc::new(SystemClock))).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let ledger = &ledger;
            scope.spawn(move || {
                for n in ledger.head().. {
                    let object_id = format!("t{thread}-{n}");
                    let body = format!("{object_id} {}", "x".repeat(n as usize * 37 % 5000));
                    let two = accept(&object_id, 1, &body, &["a", "b"]).and(Draft::new(
                        Fact::Observed { remotes: vec![] },
                        "x",
                        "The second of two.",
                    ));
                    ledger.commit_blocking(two).unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "ack {object_id} {}", Hash::of(body.as_bytes())).unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
}

#[test]
fn what_was_confirmed_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SystemClock;
    let (mut acks, mut rounds) = (BTreeMap::new(), Vec::new());
    for _ in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "ledger::tests::kill::child", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            let acks = lines.filter_map(|line| {
                let (object_id, body) = line.strip_prefix("ack ")?.split_once(' ')?;
                Some((object_id.to_owned(), Hash::parse(body)?))
            });
            acks.collect::<Vec<_>>()
        });
        let wait = Duration::from_millis(150 + (crate::clock::Clock::chance(&clock) * 300.0) as u64);
        std::thread::sleep(wait);
        child.kill().unwrap();
        child.wait().unwrap();
        let confirmed = reader.join().unwrap();
        rounds.push(confirmed.len());
        acks.extend(confirmed);
        let found = Audit::of(folder.path()).unwrap().verify().unwrap();
        assert!(found.is_ok(), "{found:?}");
        let ledger = open(folder.path());
        for (object_id, body) in &acks {
            let row = ledger.object(&name("appointment"), &id(object_id)).unwrap();
            assert_eq!(row.expect("a confirmed object").body, Some(*body));
            assert!(ledger.body(body).unwrap().is_some());
        }
        let entries = ledger.entries(1, usize::MAX).unwrap();
        assert!(entries.last().is_none_or(|entry| entry.more == 0), "no half proposal");
    }
    println!("confirmed in each round: {rounds:?}");
    assert!(acks.len() > 100, "the kills must hit a ledger under load: {rounds:?}");
}

/// Remembers how long each file was when it was last synced.
#[derive(Clone, Default)]
struct Power(Arc<Mutex<BTreeMap<std::path::PathBuf, u64>>>);

struct Watched(Arc<dyn MediaFile>, std::path::PathBuf, Power);

impl MediaFile for Watched {
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
        self.2.0.lock().unwrap().insert(self.1.clone(), self.0.length()?);
        Ok(())
    }
}

impl Media for Power {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn MediaFile>> {
        Ok(Arc::new(Watched(Disk.open(path, how)?, path.to_owned(), self.clone())))
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
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn free(&self, folder: &Path) -> io::Result<u64> {
        Disk.free(folder)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        Disk.lock(path)
    }
}

#[test]
fn what_was_confirmed_survives_a_power_cut() {
    let (folder, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let power = Power::default();
    let ledger = Ledger::open(folder.path(), options(clock(), Arc::new(power.clone())).0).unwrap();
    let mut confirmed = BTreeSet::new();
    for n in 0..40 {
        let object_id = format!("p{n}");
        let body = if n % 9 == 0 { "y".repeat(70_000) } else { format!("body {n}") };
        ledger.commit_blocking(accept(&object_id, 1, &body, &["a"])).unwrap();
        confirmed.insert(object_id);
        // Beyond what was synced, the files hold what may or may not get there.
        let after = cut.path().join(n.to_string());
        copy_synced(folder.path(), &after, &power.0.lock().unwrap());
        let survived = open(&after);
        for object_id in &confirmed {
            let row = survived.object(&name("appointment"), &id(object_id)).unwrap().expect("a confirmed object");
            assert!(survived.body(&row.body.unwrap()).unwrap().is_some());
        }
    }
}

fn copy_synced(from: &Path, to: &Path, synced: &BTreeMap<std::path::PathBuf, u64>) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if ["folds", "index", "lock", "checkpoint.json"].iter().any(|derived| path.ends_with(derived)) {
            continue;
        }
        if path.is_dir() {
            copy_synced(&path, &target, synced);
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        let extension = path.extension().and_then(|e| e.to_str());
        if matches!(extension, Some("ndjson" | "bodies")) {
            bytes.truncate(synced.get(&path).copied().unwrap_or(0) as usize);
        }
        fs::write(target, bytes).unwrap();
    }
}
