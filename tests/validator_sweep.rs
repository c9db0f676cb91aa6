//! No false alarm: the specification's own examples, Synthea's patients and the examples inside published packages are
//! right but for a handful, each listed with the reason why it is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use liaison::{
    definitions::{Definitions, Pack, Package},
    fhir,
    profile::{Options, Validator},
};

use crate::support::{beside::shared, own, package};

/// `file: reason`, one a line.
const INVALID: &str = include_str!("validator_sweep.txt");

/// The most that may be called invalid.
const MOST: usize = 28;

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()).collect();
    // `package.json` is npm's.
    paths.retain(|path| {
        path.extension().is_some_and(|extension| extension == "json") && !path.ends_with("package.json")
    });
    paths.sort();
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let read = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        (format!("{name}/{file}"), fs::read(path).expect("readable"))
    };
    paths.iter().map(read).collect()
}

/// A package's examples: the folder `example`, and resources beside the definitions that are none.
fn examples(package: &Package) -> Vec<(String, Vec<u8>)> {
    let json = package.files.iter().filter(|(path, _)| path.ends_with(".json"));
    let wanted = json.filter(|(path, bytes)| {
        let name = path.rsplit('/').next().unwrap_or_default();
        if name.starts_with('.') || path.starts_with("package/openapi/") || path.starts_with("package/other/") {
            return false;
        }
        path.starts_with("package/example/")
            || fhir::read(bytes).is_ok_and(|value| value.get("resourceType").is_some() && value.get("url").is_none())
    });
    wanted.map(|(path, bytes)| (format!("{}/{path}", package.name), bytes.clone())).collect()
}

/// The errors of each file that is called invalid.
fn sweep(validator: &Validator, files: &[(String, Vec<u8>)], found: &mut BTreeMap<String, Vec<String>>) {
    let options = Options { examples: true, unknown_extensions: false, ..Options::default() };
    for (name, bytes) in files {
        let errors: Vec<String> = match fhir::read(bytes) {
            Err(error) => vec![error.to_string()],
            Ok(value) => {
                let report = validator.validate(&value, &options);
                report.errors().map(|issue| format!("{}: {} [{}]", issue.expression, issue.text, issue.rule)).collect()
            }
        };
        if !errors.is_empty() {
            found.insert(name.clone(), errors);
        }
    }
}

#[test]
fn genuine_examples_are_valid() {
    let core = Validator::new(Definitions::core());
    let mut found = BTreeMap::new();
    let mut count = 0;
    for folder in ["examples-r4", "synthea-r4"] {
        let Some(folder) = shared(folder) else { return };
        let files = files(&folder);
        count += files.len();
        sweep(&core, &files, &mut found);
    }
    for name in [
        "hl7.fhir.us.core-3.1.0",
        "hl7.fhir.us.core-3.1.1",
        "hl7.fhir.us.core-6.1.0",
        "hl7.fhir.us.core-7.0.0",
        "hl7.fhir.uv.ips-1.1.0",
        "hl7.fhir.uv.extensions.r4-5.3.0",
    ] {
        let Some(package) = package(name) else { return };
        let pack = Arc::new(Pack::open(package.pack().0).expect("opens"));
        let validator = Validator::new(Definitions::with_packages([pack]).expect("core pack"));
        let files: Vec<_> = examples(&package)
            .into_iter()
            .map(|(path, bytes)| (path.replacen(&package.name, name, 1), bytes))
            .collect();
        count += files.len();
        sweep(&validator, &files, &mut found);
    }
    assert!(count > 850, "{count} files");
    let listed: BTreeSet<&str> = INVALID
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(": "))
        .map(|(file, _)| file)
        .collect();
    let alarms: Vec<String> = found
        .iter()
        .filter(|(file, _)| !listed.contains(file.as_str()))
        .map(|(file, errors)| format!("{file}\n    {}", errors.join("\n    ")))
        .collect();
    assert!(alarms.is_empty(), "{} of {count} files are called invalid:\n{}", alarms.len(), alarms.join("\n"));
    let idle: Vec<&&str> = listed.iter().filter(|file| !found.contains_key(**file)).collect();
    assert!(idle.is_empty(), "listed, but valid: {idle:?}");
    assert!(listed.len() <= MOST, "{} files are listed", listed.len());
}

#[test]
fn our_own_examples_are_valid() {
    let files: Vec<_> = own::resources().into_iter().map(|(name, one)| (name, one.to_string().into_bytes())).collect();
    let mut found = BTreeMap::new();
    sweep(&Validator::new(Definitions::core()), &files, &mut found);
    assert_eq!(found, BTreeMap::new());
}
