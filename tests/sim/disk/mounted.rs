//! The disk as one life sees it: when that is over, nothing has an effect any more.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use liaison::ledger::{Media, MediaFile, Open};

use super::{File, Names, Node, SimDisk, content::Content, held};
use crate::{coverage, time::Life};

pub(super) struct Mounted {
    pub(super) disk: Arc<SimDisk>,
    pub(super) life: Arc<Life>,
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

pub(super) struct OpenFile {
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
