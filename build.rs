//! Embeds the folders that are data (mappings, our profiles, the core pack, error pages, the glossary)
//! into the binary: writes `embedded.rs` with one table of `(path, bytes)` a folder.
use std::{env, fs, io::Write, path::Path};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let out = env::var("OUT_DIR").expect("cargo sets it");
    let mut file = fs::File::create(Path::new(&out).join("embedded.rs")).expect("OUT_DIR is writable");
    for (name, folder) in [
        ("MAPPINGS", "mappings"),
        ("PROFILES", "profiles"),
        ("ERROR_PAGES", "src/error/pages"),
        ("EXAMPLES", "examples"),
    ] {
        let mut found = Vec::new();
        walk(&Path::new(&root).join(folder), "", &mut found);
        found.sort();
        println!("cargo:rerun-if-changed={folder}");
        writeln!(file, "/// Files of `{folder}/`: path below it, and bytes.\npub static {name}: &[(&str, &[u8])] = &[")
            .expect("writable");
        for (relative, full) in found {
            writeln!(file, "    ({relative:?}, include_bytes!({full:?})),").expect("writable");
        }
        writeln!(file, "];").expect("writable");
    }
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<(String, String)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        // Packages that were installed here are the site's, not the program's.
        if path.ends_with("profiles/packages") {
            continue;
        }
        if path.is_dir() {
            println!("cargo:rerun-if-changed={}", path.display());
            walk(&path, &format!("{prefix}{name}/"), found);
        } else {
            found.push((format!("{prefix}{name}"), path.to_string_lossy().into_owned()));
        }
    }
}
