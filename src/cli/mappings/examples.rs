//! The other side of worked examples that have none yet: made by the mapping, for an author to look through.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{
    cli::{CouldNotRun, translate},
    fhir,
    mapping::{Example, MappingError, Mappings, resources},
};

/// Writes `NAME.fhir.json` beside each `NAME.internal.json` that has neither it nor `NAME.refused.json`, and
/// `NAME.inbound.internal.json` beside each `NAME.inbound.fhir.json`.
pub(super) fn write(dir: Option<&Path>, only: Option<&str>) -> Result<(), CouldNotRun> {
    let Some(dir) = dir else { return Ok(()) };
    // What keeps the folder from being read is told by the check that follows.
    let Ok(mappings) = Mappings::draft(dir) else { return Ok(()) };
    for object in mappings.objects().filter(|object| only.is_none_or(|only| only == object.name())) {
        let folder = dir.join(object.name()).join("examples");
        let dialects = mappings.dialects().iter().map(|dialect| (&**dialect, folder.join(&**dialect)));
        for (dialect, folder) in std::iter::once(("generic", folder.clone())).chain(dialects) {
            for (from, to) in open(&folder) {
                write_one(&mappings, object.name(), dialect, &from, &to)?;
            }
        }
    }
    Ok(())
}

/// Examples without another side: what is there, and what is missing.
fn open(folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let missing = |file: &str| {
        // What an EHR might send starts from FHIR, everything else from the object.
        let (stem, other) = match file.strip_suffix(".inbound.fhir.json") {
            Some(stem) => (format!("{stem}.inbound"), "internal"),
            None => {
                (file.strip_suffix(".internal.json").filter(|stem| !stem.ends_with(".inbound"))?.to_owned(), "fhir")
            }
        };
        let beside = |side: &str| folder.join(format!("{stem}.{side}.json"));
        (!beside(other).exists() && !beside("refused").exists()).then(|| beside(other))
    };
    let mut found: Vec<(PathBuf, PathBuf)> =
        entries.flatten().filter_map(|entry| Some((entry.path(), missing(entry.file_name().to_str()?)?))).collect();
    found.sort();
    found
}

fn write_one(mappings: &Mappings, object: &str, dialect: &str, from: &Path, to: &Path) -> Result<(), CouldNotRun> {
    let (Some(plan), Some(there)) = (mappings.plan(object, dialect), translate::one(from)?) else { return Ok(()) };
    let context = Example::context();
    let made: Value = if fhir::resource_type(&there).is_some() {
        plan.to_internal(&resources(there), &context)
    } else {
        match plan.to_fhir(&there, &context) {
            Ok(parts) => translate::bundled(&plan, &there, &context, parts),
            Err(MappingError::Unsayable(findings)) => {
                translate::tell(from, &findings);
                return Ok(());
            }
            Err(error) => return Err(CouldNotRun::from_error(&error, "")),
        }
    };
    let text = serde_json::to_string_pretty(&made).unwrap_or_default() + "\n";
    std::fs::write(to, text).map_err(|error| CouldNotRun::new(format!("{}: {error}", to.display()), ""))?;
    eprintln!("written: {}", to.display());
    Ok(())
}
