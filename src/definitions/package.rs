//! A FHIR package, however it comes: a `.tgz`, a folder with `package.json`, a folder of loose definitions, or one
//! file (a definition, or a Bundle of them). Knows no network and no installed packages (see `install`).
//! <https://confluence.hl7.org/display/FHIR/NPM+Package+Specification>

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{
    Error,
    compile::{text, texts},
    errata,
    pack::Builder,
    slim::slim,
    unpack,
};
use crate::fhir::{self, Value};

/// Ends the warning about a file that cannot be read.
pub(super) const LEFT_OUT: &str = "; left out";
/// Folders of a package that hold no definitions.
const MANIFEST: &str = "package/package.json";

/// A package's files and what its manifest says.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name; the file's or folder's for loose definitions.
    pub name: String,
    /// Its version; empty for loose definitions.
    pub version: String,
    /// FHIR versions that it says it is for.
    pub fhir_versions: Vec<String>,
    /// Packages that it needs: name → version.
    pub dependencies: BTreeMap<String, String>,
    /// Files by path (`package/StructureDefinition-x.json`).
    pub files: BTreeMap<String, Vec<u8>>,
    /// SHA-256 of the `.tgz`, or of the files' paths and bytes; lower-case hexadecimal.
    pub sha256: String,
}

/// What was found on the way; each is true and worth a look, none stops the loading.
pub type Warnings = Vec<String>;

impl Package {
    /// Opens a `.tgz`, a folder or a file.
    ///
    /// # Errors
    /// As [`unpack::tgz`]; [`Error::Io`]; [`Error::Unreadable`] if there is nothing of FHIR in it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let label = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into());
        if path.is_dir() {
            return Self::folder(path, &label);
        }
        // A pipe that nobody writes to would hold us here for ever.
        if fs::metadata(path).is_ok_and(|about| !about.is_file()) {
            return Err(Error::unreadable(&label, "this is neither a file nor a folder"));
        }
        let bytes = fs::read(path).map_err(Error::io(path))?;
        if bytes.starts_with(&[0x1F, 0x8B]) {
            return Self::tgz(&label, &bytes);
        }
        if let Err(error) = fhir::read(&bytes) {
            return Err(Error::unreadable(&label, no_json(&error, &bytes)));
        }
        let name = if label.ends_with(".json") { label.clone() } else { format!("{label}.json") };
        Ok(Self::loose(&label, BTreeMap::from([(name, bytes)])))
    }

    /// Reads a `.tgz`; `label` names it in errors.
    ///
    /// # Errors
    /// As [`unpack::tgz`], and [`Error::Unreadable`] without a readable `package/package.json`.
    pub fn tgz(label: &str, bytes: &[u8]) -> Result<Self, Error> {
        let files = unpack::tgz(label, bytes, unpack::Bounds::default())?;
        Self::with_manifest(label, files, hex(&Sha256::digest(bytes)))
    }

    fn with_manifest(label: &str, files: BTreeMap<String, Vec<u8>>, sha256: String) -> Result<Self, Error> {
        let bytes = files.get(MANIFEST).ok_or_else(|| Error::unreadable(label, "it has no package/package.json"))?;
        let manifest = fhir::read(bytes).map_err(|error| Error::unreadable(label, format!("package.json: {error}")))?;
        let name = text(&manifest, "name").ok_or_else(|| Error::unreadable(label, "package.json gives no name"))?;
        let version = text(&manifest, "version").unwrap_or_default();
        for (what, text) in [("name", &name), ("version", &version)] {
            if !is_plain(text) {
                return Err(Error::unsafe_(label, format!("package.json gives a {what} that is no plain word")));
            }
        }
        let dependencies = manifest.get("dependencies").and_then(Value::as_object).into_iter().flatten();
        let dependencies =
            dependencies.filter_map(|(name, version)| Some((name.clone(), version.as_str()?.to_owned()))).collect();
        let mut fhir_versions = texts(&manifest, "fhirVersions");
        fhir_versions.extend(texts(&manifest, "fhir-version-list"));
        Ok(Self { name, version, fhir_versions, dependencies, files, sha256 })
    }

    fn folder(path: &Path, label: &str) -> Result<Self, Error> {
        let mut files = BTreeMap::new();
        walk(path, path, &mut files)?;
        let inner = files.contains_key(MANIFEST);
        if !inner && !files.contains_key("package.json") {
            files.retain(|_, file: &mut PathBuf| file.extension().is_some_and(|extension| extension == "json"));
        }
        let is_package = inner || files.contains_key("package.json");
        let mut contents = BTreeMap::new();
        for (name, file) in files {
            let bytes = fs::read(&file).map_err(Error::io(&file))?;
            contents.insert(if is_package && !inner { format!("package/{name}") } else { name }, bytes);
        }
        if !is_package {
            return Ok(Self::loose(label, contents));
        }
        let sha256 = hash(&contents);
        Self::with_manifest(label, contents, sha256)
    }

    fn loose(label: &str, files: BTreeMap<String, Vec<u8>>) -> Self {
        let sha256 = hash(&files);
        let name = label.to_owned();
        Self { name, version: String::new(), fhir_versions: vec![], dependencies: BTreeMap::new(), files, sha256 }
    }

    /// `name#version`, or the name alone.
    #[must_use]
    pub fn label(&self) -> String {
        if self.version.is_empty() { self.name.clone() } else { format!("{}#{}", self.name, self.version) }
    }

    /// Whether this has a manifest.
    #[must_use]
    pub fn is_package(&self) -> bool {
        self.files.contains_key(MANIFEST)
    }

    /// The JSON files that may hold definitions: those directly in `package/`, or all of loose ones.
    pub fn json(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let packaged = self.is_package();
        let wanted = move |path: &str| {
            let direct = path.strip_prefix("package/").is_some_and(|name| !name.contains('/'));
            let index = path.rsplit('/').next().is_some_and(|name| name == "package.json" || name.starts_with('.'));
            path.ends_with(".json") && !index && (direct || !packaged)
        };
        self.files.iter().filter(move |(path, _)| wanted(path)).map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }

    /// Gives every resource among the definitions' files to `work`, and what is in Bundles one by one.
    pub fn each_resource(&self, warnings: &mut Warnings, mut work: impl FnMut(Value)) {
        for (path, bytes) in self.json() {
            match fhir::read(bytes) {
                Ok(Value::Object(resource)) if resource.get("resourceType").is_some_and(|of| of == "Bundle") => {
                    let entries = resource.get("entry").and_then(Value::as_array).into_iter().flatten();
                    entries.filter_map(|entry| entry.get("resource")).cloned().for_each(&mut work);
                }
                Ok(resource) if resource.get("resourceType").is_some() => work(resource),
                Ok(_) => {}
                Err(error) => {
                    let label = self.label();
                    let place = if *path == *label { String::new() } else { format!("{path}: ") };
                    let why = no_json(&error, bytes);
                    warnings.push(format!("{label}: {place}{why}{LEFT_OUT}"));
                }
            }
        }
    }

    /// Packs the definitions, without prose. Errors of the core specification that their snapshots repeat are mended.
    #[must_use]
    pub fn pack(&self) -> (Vec<u8>, Warnings) {
        let mut warnings = Vec::new();
        let mut errata = errata::embedded().unwrap_or_default();
        if !self.fhir_versions.is_empty() && !self.fhir_versions.iter().any(|version| version.starts_with("4.0")) {
            warnings.push(format!("{}: made for FHIR {}, not for R4", self.label(), self.fhir_versions.join(", ")));
        }
        let mut builder = Builder::fast(&self.label());
        for (name, version) in &self.dependencies {
            builder.needs(&format!("{name}#{version}"));
        }
        let mut count = 0;
        self.each_resource(&mut warnings, |mut resource| {
            errata::apply(&mut errata, &mut resource);
            count += usize::from(builder.add(&slim(&resource)));
        });
        if count == 0 {
            warnings.push(format!("{}: there are no definitions in it", self.label()));
        }
        (builder.build(), warnings)
    }
}

/// Why a file that should be JSON is none: what it is instead, or where it goes wrong.
fn no_json(error: &fhir::JsonError, bytes: &[u8]) -> String {
    fhir::foreign(bytes)
        .map_or_else(|| error.to_string(), |foreign| format!("{}; {}", foreign.sentence(), foreign.remedy))
}

/// Letters, digits, `.`, `-`, `_` and `+`, not beginning with a dot: safe as a file name everywhere.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    text.len() <= 128
        && !text.starts_with('.')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+'))
}

fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, PathBuf>) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(Error::io(&path))?;
        if kind.is_dir() {
            walk(root, &path, found)?;
        } else if let Ok(relative) = path.strip_prefix(root)
            && fs::metadata(&path).is_ok_and(|about| about.is_file())
        {
            let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
            found.insert(parts.join("/"), path);
        }
    }
    Ok(())
}

fn hash(files: &BTreeMap<String, Vec<u8>>) -> String {
    let mut hasher = Sha256::new();
    for (path, bytes) in files {
        hasher.update(path.len().to_le_bytes());
        hasher.update(path);
        hasher.update(bytes.len().to_le_bytes());
        hasher.update(bytes);
    }
    hex(&hasher.finalize())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
