//! From packages as they come to packs as they are used. A pack that was made once is kept beside the packages, named by
//! the package's checksum and this program's pack format, so that a start does not pay for it again. A kept pack that
//! cannot be read is made anew.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::{
    Definitions, Error, Installed, Pack, Package, Warnings,
    pack::FORMAT,
    package::{LEFT_OUT, hex},
};

/// Where packages are installed unless somebody says otherwise.
pub const PACKAGES: &str = "profiles/packages";
/// The folder of kept packs, within the packages' folder.
pub(super) const COMPILED: &str = ".compiled";

/// The pack of a package, from `cache` if it is kept there; else made, and kept if that is possible.
///
/// # Errors
/// As `open`; [`Error::Pack`] never for packages that could be read.
pub(super) fn pack_of(
    sha256: &str,
    cache: Option<&Path>,
    open: impl FnOnce() -> Result<Package, Error>,
) -> Result<(Arc<Pack>, Warnings), Error> {
    let kept = cache.map(|cache| cache.join(format!("{sha256}-{FORMAT}.pack")));
    let known = kept.as_ref().and_then(|kept| fs::read(kept).ok()).and_then(|bytes| Pack::open(bytes).ok());
    if let Some(pack) = known {
        return Ok((Arc::new(pack), Vec::new()));
    }
    let package = open()?;
    let (bytes, warnings) = package.pack();
    // A package with something to tell is not kept, so that it is told every time.
    if let (Some(kept), true) = (&kept, warnings.is_empty()) {
        // Keeping is a convenience: a read-only folder is no failure.
        let _ = write_whole(kept, &bytes);
    }
    Ok((Arc::new(Pack::open(bytes)?), warnings))
}

/// Writes a file so that a reader sees all of it or nothing.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = folder.join(format!(".{name}.{}.part", std::process::id()));
    let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written.map_err(Error::io(path))
}

/// Loads a `.tgz`, a package folder, a folder of loose definitions, or one file. `cache` is where packs are kept.
///
/// # Errors
/// As [`Package::open`].
pub fn load(path: &Path, cache: Option<&Path>) -> Result<(Arc<Pack>, Warnings), Error> {
    if path.is_file() && cache.is_some() {
        let bytes = fs::read(path).map_err(Error::io(path))?;
        if bytes.starts_with(&[0x1F, 0x8B]) {
            let label = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let made = pack_of(&hex(&Sha256::digest(&bytes)), cache, || Package::tgz(&label, &bytes))?;
            return useful(made);
        }
    }
    let package = Package::open(path)?;
    let (bytes, warnings) = package.pack();
    useful((Arc::new(Pack::open(bytes)?), warnings))
}

/// Refuses what was named for its definitions and has none: whoever goes on would validate without them and not know.
fn useful((pack, warnings): (Arc<Pack>, Warnings)) -> Result<(Arc<Pack>, Warnings), Error> {
    if pack.entries.is_empty() && pack.dependencies.is_empty() {
        let nothing = "there are no definitions in it (profiles, value sets, code systems, search parameters …)";
        // What could not be read is the likelier cause.
        let told = warnings.into_iter().find(|warning| warning.ends_with(LEFT_OUT));
        let why = told.map_or_else(|| nothing.to_owned(), |told| told.trim_end_matches(LEFT_OUT).to_owned());
        let why = why.strip_prefix(&format!("{}: ", pack.label)).unwrap_or(&why).to_owned();
        return Err(Error::unreadable(&pack.label, why));
    }
    Ok((pack, warnings))
}

impl Definitions {
    /// Core and what `wanted` names: `name#version` of installed packages (with those they need), or paths as for
    /// [`load`]. `folder` is where packages are installed.
    ///
    /// # Errors
    /// [`Error::NotInstalled`], and as [`load`].
    pub fn load(folder: &Path, wanted: &[String]) -> Result<(Arc<Self>, Warnings), Error> {
        if wanted.is_empty() {
            return Ok((Self::core(), Vec::new()));
        }
        let installed = Installed::at(folder)?;
        let cache = folder.join(COMPILED);
        let (mut packs, mut warnings): (Vec<Arc<Pack>>, Warnings) = (Vec::new(), Vec::new());
        for name in wanted {
            let path = PathBuf::from(name);
            let found = if installed.has(name) || (!path.exists() && name.contains('#')) {
                installed.load(name)?
            } else {
                let (pack, warnings) = load(&path, folder.is_dir().then_some(cache.as_path()))?;
                (vec![pack], warnings)
            };
            for pack in found.0 {
                if !packs.iter().any(|known| known.label == pack.label && pack.label.contains('#')) {
                    packs.push(pack);
                }
            }
            warnings.extend(found.1);
        }
        Ok((Self::with_packages(packs)?, warnings))
    }
}
