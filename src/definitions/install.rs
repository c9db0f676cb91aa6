//! The folder of installed packages: `NAME#VERSION.tgz` files, several versions side by side, and a lock file with
//! checksums. Whatever is installed was read through and checked in memory first; what is refused leaves nothing
//! behind. A package that is locked with another checksum is refused.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Error, Pack, Package, Warnings,
    load::{COMPILED, pack_of, write_whole},
    package::hex,
};

const LOCK: &str = "packages.lock.json";
/// The package that is built in.
const CORE: &str = "hl7.fhir.r4.core";

/// What the lock file says of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// Checksum of its `.tgz`, lower-case hexadecimal.
    pub sha256: String,
    /// Where it came from: an address or a file's name.
    pub from: String,
    /// What it says it needs: name → version.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dependencies: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    packages: BTreeMap<String, Locked>,
}

/// A package that was fetched and checked, ready to be put down.
#[derive(Debug)]
pub struct Checked {
    /// Its contents.
    pub package: Package,
    /// The `.tgz`.
    pub tgz: Vec<u8>,
    /// Where it came from.
    pub from: String,
}

impl Checked {
    /// Reads a `.tgz` through.
    ///
    /// # Errors
    /// As [`Package::tgz`].
    pub fn tgz(label: &str, tgz: Vec<u8>, from: &str) -> Result<Self, Error> {
        let package = Package::tgz(label, &tgz)?;
        if package.version.is_empty() {
            return Err(Error::unreadable(label, "package.json gives no version"));
        }
        Ok(Self { package, tgz, from: from.to_owned() })
    }

    /// A `.tgz`, or a folder with `package.json`, which is packed.
    ///
    /// # Errors
    /// As [`Package::open`]; [`Error::Unreadable`] for loose definitions, which have no name to install them under.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let label = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into());
        if path.is_file() {
            return Self::tgz(&label, fs::read(path).map_err(Error::io(path))?, &label);
        }
        let package = Package::open(path)?;
        if !package.is_package() {
            return Err(Error::unreadable(&label, "it has no package.json; give loose definitions with --package"));
        }
        let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        let mut archive = tar::Builder::new(encoder);
        for (name, bytes) in package.files.iter().filter(|(name, _)| name.starts_with("package/")) {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, bytes.as_slice()).map_err(Error::io(path))?;
        }
        let tgz = archive.into_inner().and_then(flate2::write::GzEncoder::finish).map_err(Error::io(path))?;
        Self::tgz(&label, tgz, &label)
    }

    /// SHA-256 of the `.tgz`.
    #[must_use]
    pub fn sha256(&self) -> String {
        hex(&Sha256::digest(&self.tgz))
    }
}

/// The installed packages of one folder.
#[derive(Clone, Debug)]
pub struct Installed {
    folder: PathBuf,
    lock: Lock,
}

impl Installed {
    /// Reads the folder's lock file; a folder that does not exist has no packages.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Unreadable`].
    pub fn at(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(LOCK);
        let lock = match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| Error::unreadable(LOCK, error.to_string()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Lock::default(),
            Err(error) => return Err(Error::io(&path)(error)),
        };
        Ok(Self { folder: folder.to_owned(), lock })
    }

    /// All packages: `name#version` and what the lock file says.
    pub fn list(&self) -> impl Iterator<Item = (&str, &Locked)> {
        self.lock.packages.iter().map(|(label, locked)| (label.as_str(), locked))
    }

    /// Whether `name#version` is installed (or built in).
    #[must_use]
    pub fn has(&self, label: &str) -> bool {
        is_built_in(label) || self.lock.packages.contains_key(label)
    }

    /// Puts packages down, all or none as far as checks go. Gives the labels that are new.
    ///
    /// # Errors
    /// [`Error::Checksum`] if one is locked with another checksum; [`Error::Io`].
    pub fn add(&mut self, checked: &[Checked]) -> Result<Vec<String>, Error> {
        let mut lock = self.lock.clone();
        let mut new = Vec::new();
        for one in checked {
            let (label, sha256) = (one.package.label(), one.sha256());
            match lock.packages.get(&label) {
                Some(locked) if locked.sha256 == sha256 => {}
                Some(_) => return Err(Error::Checksum { package: label, place: LOCK.to_owned() }),
                None => {
                    let dependencies = one.package.dependencies.clone();
                    lock.packages.insert(label.clone(), Locked { sha256, from: one.from.clone(), dependencies });
                    new.push((label, &one.tgz));
                }
            }
        }
        for (label, tgz) in &new {
            write_whole(&self.file(label), tgz)?;
        }
        let text = serde_json::to_string_pretty(&lock).map_err(|error| Error::unreadable(LOCK, error.to_string()))?;
        write_whole(&self.folder.join(LOCK), format!("{text}\n").as_bytes())?;
        self.lock = lock;
        Ok(new.into_iter().map(|(label, _)| label).collect())
    }

    fn file(&self, label: &str) -> PathBuf {
        self.folder.join(format!("{label}.tgz"))
    }

    /// The pack of `name#version` and those of the installed packages that it needs, these first.
    ///
    /// # Errors
    /// [`Error::NotInstalled`], [`Error::Checksum`] if the file is not the one that was installed.
    pub fn load(&self, label: &str) -> Result<(Vec<Arc<Pack>>, Warnings), Error> {
        let (mut order, mut warnings) = (Vec::new(), Vec::new());
        self.order(label, &mut Vec::new(), &mut order)?;
        let mut packs = Vec::new();
        for label in order {
            let locked = &self.lock.packages[&label];
            let open = || {
                let path = self.file(&label);
                let tgz = fs::read(&path).map_err(Error::io(&path))?;
                if hex(&Sha256::digest(&tgz)) != locked.sha256 {
                    return Err(Error::Checksum { package: label.clone(), place: LOCK.to_owned() });
                }
                Package::tgz(&label, &tgz)
            };
            let (pack, more) = pack_of(&locked.sha256, Some(&self.folder.join(COMPILED)), open)?;
            packs.push(pack);
            warnings.extend(more);
        }
        Ok((packs, warnings))
    }

    /// What an installed package says it needs and is neither installed nor built in. Most packages name some of which
    /// they use nothing, so that this is worth telling once, when one is installed.
    #[must_use]
    pub fn missing(&self, label: &str) -> Vec<String> {
        let needed = self.lock.packages.get(label).into_iter().flat_map(|locked| &locked.dependencies);
        let absent = needed.filter(|(name, version)| self.best(name, version).is_none());
        let labels = absent.map(|(name, version)| format!("{name}#{version}"));
        labels.filter(|label| !is_built_in(label)).collect()
    }

    /// Dependencies before dependents; a cycle is walked once.
    fn order(&self, label: &str, open: &mut Vec<String>, order: &mut Vec<String>) -> Result<(), Error> {
        if is_built_in(label) || open.iter().any(|known| known == label) || order.iter().any(|known| known == label) {
            return Ok(());
        }
        let locked = self.lock.packages.get(label).ok_or_else(|| Error::NotInstalled(label.to_owned()))?;
        open.push(label.to_owned());
        for (name, version) in &locked.dependencies {
            if let Some(found) = self.best(name, version) {
                self.order(&found, open, order)?;
            }
        }
        open.pop();
        order.push(label.to_owned());
        Ok(())
    }

    /// The installed package that `name` and `version` (also `6.1.x`, `latest`) mean.
    #[must_use]
    pub fn best(&self, name: &str, version: &str) -> Option<String> {
        let versions = self.lock.packages.keys().filter_map(|label| label.split_once('#'));
        let fitting = versions.filter(|(known, of)| *known == name && fits(of, version)).map(|(_, of)| of);
        fitting.max_by(|a, b| super::versions::compare(a, b)).map(|version| format!("{name}#{version}"))
    }
}

/// Whether `version` is what a dependency's `asked` means.
pub(super) fn fits(version: &str, asked: &str) -> bool {
    match asked {
        "latest" | "current" | "dev" | "*" | "x" => true,
        _ => version == asked || asked.strip_suffix(".x").is_some_and(|stem| super::versions::fits(version, stem)),
    }
}

/// FHIR R4 itself is embedded.
pub(super) fn is_built_in(label: &str) -> bool {
    label.split('#').next() == Some(CORE) && label.split('#').nth(1).is_none_or(|version| version.starts_with("4.0"))
}
