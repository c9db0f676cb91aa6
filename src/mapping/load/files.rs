//! The mappings folder as texts by path: the embedded one, and a folder on disk laid over it. The only I/O of the room.

use std::{collections::BTreeMap, path::Path};

use crate::{embedded, mapping::MappingError};

/// Path below the mappings folder → text. What is not UTF-8 is left out and noticed as missing.
#[derive(Clone, Debug, Default)]
pub struct Files(pub(crate) BTreeMap<String, String>);

/// Files whose entries are laid over the embedded ones one by one.
const ADDED_TO: &[&str] = &["dialects.yaml", "concepts/systems.yaml"];

/// Before the path of an embedded list that a folder adds to.
const BUILT_IN: &str = "built-in/";

impl Files {
    /// The folder that is built into the binary.
    #[must_use]
    pub fn embedded() -> Self {
        let texts = embedded::MAPPINGS
            .iter()
            .filter_map(|(path, bytes)| Some(((*path).to_owned(), std::str::from_utf8(bytes).ok()?.to_owned())));
        Self(texts.filter(|(path, _)| is_ours(path)).collect())
    }

    /// Texts by path, as they would stand in a folder, with the embedded shared shapes, code lists and fragments.
    #[must_use]
    pub fn from_texts<P: Into<String>, T: Into<String>>(texts: impl IntoIterator<Item = (P, T)>) -> Self {
        let mut files = Self::embedded();
        files.0.retain(|path, _| {
            path.split_once('/').is_none_or(|(folder, _)| folder == "concepts" || folder == "fragments")
        });
        files.0.extend(texts.into_iter().map(|(path, text)| (path.into(), text.into())));
        files
    }

    /// A folder laid over the embedded one: an object's folder or a file of `concepts/` and `fragments/` that is there
    /// takes the place of the embedded one.
    ///
    /// # Errors
    /// [`MappingError::Unreadable`]
    pub fn over_embedded(dir: &Path) -> Result<Self, MappingError> {
        let own = Self::read(dir)?;
        let mut files = Self::embedded();
        files.0.retain(|path, _| match path.split_once('/') {
            Some((folder, _)) if folder != "concepts" && folder != "fragments" => {
                !own.0.contains_key(&format!("{folder}/mapping.yaml"))
            }
            _ => true,
        });
        // Lists that a folder adds to: what it does not name stays.
        for path in ADDED_TO {
            if own.0.contains_key(*path)
                && let Some(text) = files.0.remove(*path)
            {
                files.0.insert(format!("{BUILT_IN}{path}"), text);
            }
        }
        files.0.extend(own.0);
        Ok(files)
    }

    /// A list and, before it, the embedded one that it adds to: paths and texts.
    pub(crate) fn lists(&self, path: &str) -> impl Iterator<Item = (&str, &str)> {
        let both = [format!("{BUILT_IN}{path}"), path.to_owned()];
        both.into_iter()
            .filter_map(|path| self.0.get_key_value(&path))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// A folder alone.
    ///
    /// # Errors
    /// [`MappingError::Unreadable`]
    pub fn read(dir: &Path) -> Result<Self, MappingError> {
        let mut files = Self::default();
        read_folder(dir, "", &mut files.0)?;
        Ok(files)
    }

    /// The names of the object folders.
    pub(crate) fn objects(&self) -> Vec<String> {
        let paths = self.0.keys().filter_map(|path| path.strip_suffix("/mapping.yaml"));
        paths.filter(|name| !name.contains('/')).map(str::to_owned).collect()
    }

    /// Files directly in a folder, with their names.
    pub(crate) fn within<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        let prefix = format!("{folder}/");
        self.0.iter().filter_map(move |(path, text)| {
            let name = path.strip_prefix(&prefix)?;
            (!name.contains('/')).then_some((path.as_str(), name, text.as_str()))
        })
    }
}

fn is_ours(path: &str) -> bool {
    [".yaml", ".json"].iter().any(|ending| path.ends_with(ending))
}

fn read_folder(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> Result<(), MappingError> {
    let unreadable = |path: &Path| {
        let path = path.display().to_string();
        move |source| MappingError::Unreadable { path, source }
    };
    for entry in std::fs::read_dir(folder).map_err(unreadable(folder))? {
        let entry = entry.map_err(unreadable(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            read_folder(&path, &format!("{prefix}{name}/"), files)?;
        } else if is_ours(&name) {
            let text = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
            files.insert(format!("{prefix}{name}"), text);
        }
    }
    Ok(())
}
