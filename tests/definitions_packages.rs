//! Packages: what is refused leaves nothing behind; the genuine ones load without a warning that is not true; several
//! versions side by side; a registry with dependencies; the cache.

use std::{collections::BTreeMap, fs, io::Write, path::Path};

use flate2::{Compression, write::GzEncoder};
use liaison::{
    app::command::{self, Cli},
    cli::Exit,
    definitions::{Checked, Definitions, Error, Fetch, Installed, Package, Registry, load},
    error::Explained,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::support::{beside::shared, own};

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("writes");
    encoder.finish().expect("writes")
}

/// One 512-byte header and the content, padded; made by hand, so that it may lie.
fn member(path: &str, kind: u8, size: usize, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..path.len()].copy_from_slice(path.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    header[136..147].copy_from_slice(b"00000000000");
    header[156] = kind;
    if kind == b'2' || kind == b'1' {
        header[157..168].copy_from_slice(b"/etc/passwd");
    }
    header[257..263].copy_from_slice(b"ustar\0");
    header[263..265].copy_from_slice(b"00");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut out = header.to_vec();
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

fn file(path: &str, content: &str) -> Vec<u8> {
    member(path, b'0', content.len(), content.as_bytes())
}

fn manifest(name: &str, version: &str, dependencies: Value) -> Vec<u8> {
    let manifest = json!({"name": name, "version": version, "fhirVersions": ["4.0.1"], "dependencies": dependencies});
    file("package/package.json", &manifest.to_string())
}

fn definition(url: &str, version: &str) -> Vec<u8> {
    let set = json!({"resourceType": "ValueSet", "url": url, "version": version, "status": "active",
        "compose": {"include": [{"system": "http://t", "concept": [{"code": version}]}]}});
    file("package/ValueSet-x.json", &set.to_string())
}

fn tgz(members: &[Vec<u8>]) -> Vec<u8> {
    gz(&[members.concat(), vec![0; 1024]].concat())
}

fn good(name: &str, version: &str, dependencies: Value) -> Vec<u8> {
    tgz(&[manifest(name, version, dependencies), definition(&format!("http://{name}/x"), version)])
}

fn run(arguments: &[&str]) -> Result<Exit, String> {
    let cli = <Cli as clap::Parser>::try_parse_from(["liaison"].iter().chain(arguments)).expect("usage");
    command::run(cli.command).map_err(|failure| failure.to_string())
}

fn entries(folder: &Path) -> Vec<String> {
    let list = fs::read_dir(folder).map(|list| list.flatten().map(|entry| entry.file_name().to_string_lossy().into()));
    let mut names: Vec<String> = list.map(Iterator::collect).unwrap_or_default();
    names.sort();
    names
}

#[test]
fn what_is_not_safe_is_refused_and_nothing_is_written() {
    let ok = || manifest("t", "1.0.0", json!({}));
    let long = "x".repeat(10);
    let pax = |records: &str| member("PaxHeaders/x", b'x', records.len(), records.as_bytes());
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("parent folder", tgz(&[ok(), file("package/../../evil.json", "{}")])),
        ("absolute path", tgz(&[ok(), file("/tmp/evil.json", "{}")])),
        ("drive letter", tgz(&[ok(), file("C:/evil.json", "{}")])),
        ("backslash", tgz(&[ok(), file("package\\..\\evil.json", "{}")])),
        ("symbolic link", tgz(&[ok(), member("package/link.json", b'2', 0, b"")])),
        ("hard link", tgz(&[ok(), member("package/link.json", b'1', 0, b"")])),
        ("device", tgz(&[ok(), member("package/null", b'3', 0, b"")])),
        ("fifo", tgz(&[ok(), member("package/pipe", b'6', 0, b"")])),
        ("PAX size", tgz(&[ok(), pax("11 size=99\n"), file("package/a.json", &long)])),
        ("PAX path", tgz(&[ok(), pax("18 path=../evil.js\n"), file("package/a.json", "{}")])),
        ("PAX link", tgz(&[ok(), pax("21 linkpath=/etc/pass\n"), file("package/a.json", "{}")])),
        ("GNU long name", tgz(&[ok(), member("././@LongLink", b'L', 8, b"../evil\0"), file("package/a.json", "{}")])),
        ("twice", tgz(&[ok(), file("package/a.json", "{}"), file("package/./a.json", "{}")])),
        ("a bomb", tgz(&[ok(), member("package/zeros.json", b'0', 64 << 20, &vec![0; 64 << 20])])),
        ("a lying size", tgz(&[ok(), member("package/huge.json", b'0', 1 << 32, b"{}")])),
        ("name as path", tgz(&[manifest("../../evil", "1.0.0", json!({})), definition("http://x", "1")])),
        ("version as path", tgz(&[manifest("t", "../1", json!({})), definition("http://x", "1")])),
    ];
    for (what, bytes) in cases {
        let place = TempDir::new().expect("a folder");
        let source = place.path().join("evil.tgz");
        fs::write(&source, &bytes).expect("writes");
        let error = Checked::open(&source).expect_err(what);
        assert!(matches!(error, Error::Unsafe { .. }), "{what}: {error}");
        assert_eq!(error.code(), "LIA-DEF-002");
        let target = place.path().join("packages");
        let target_name = target.to_string_lossy().into_owned();
        let exit = run(&["profiles", "install", &source.to_string_lossy(), "--dir", &target_name]);
        assert_eq!(exit, Ok(Exit::Bad), "{what}");
        assert_eq!(entries(place.path()), ["evil.tgz"], "{what}: something was written");
    }
}

/// As macOS's tar writes it: attributes of files as bytes that are no text, a size that is the file's.
#[test]
fn genuine_pax_headers_are_read() {
    let records =
        [b"30 mtime=1717757556.820386604\n".as_slice(), b"19 SCHILY.x=\xe6bf\x00\xff\xfe\n", b"10 size=2\n"].concat();
    let records = [records.as_slice(), b"23 path=package/z.json\n"].concat();
    let header = member("PaxHeaders/x", b'x', records.len(), &records);
    let whole =
        tgz(&[manifest("t", "1.0.0", json!({})), definition("http://x", "1"), header, file("package/a.json", "{}")]);
    let package = Package::tgz("genuine", &whole).expect("is read");
    assert!(package.files.keys().any(|path| path == "package/z.json"), "{:?}", package.files.keys());
}

#[test]
fn what_is_cut_short_or_no_package_is_refused() {
    let whole = good("t", "1.0.0", json!({}));
    for cut in [0, 1, 10, whole.len() / 2, whole.len() - 9] {
        assert!(Package::tgz("cut", &whole[..cut]).is_err(), "{cut} of {}", whole.len());
    }
    assert!(Package::tgz("no manifest", &tgz(&[definition("http://x", "1")])).is_err());
    assert!(Package::tgz("no tar", &gz(b"hello")).is_err());
    assert!(matches!(Package::open(Path::new("/nowhere.tgz")), Err(Error::Io { .. })));
}

#[test]
fn checksums_are_kept_to() {
    let place = TempDir::new().expect("a folder");
    let dir = place.path().join("packages").to_string_lossy().into_owned();
    let source = place.path().join("t.tgz");
    let name = source.to_string_lossy().into_owned();
    fs::write(&source, good("t", "1.0.0", json!({}))).expect("writes");
    let wrong = "0".repeat(64);
    assert_eq!(run(&["profiles", "install", &name, "--dir", &dir, "--sha256", &wrong]), Ok(Exit::Bad));
    assert!(!Path::new(&dir).exists());
    let right = Checked::open(&source).expect("good").sha256();
    assert_eq!(run(&["profiles", "install", &name, "--dir", &dir, "--sha256", &right]), Ok(Exit::Good));
    assert_eq!(run(&["profiles", "install", &name, "--dir", &dir]), Ok(Exit::Good), "again is no change");
    assert_eq!(run(&["profiles", "list", "--dir", &dir]), Ok(Exit::Good));
    let before = fs::read(Path::new(&dir).join("packages.lock.json")).expect("lock");
    // The same name and version with other bytes.
    fs::write(&source, tgz(&[manifest("t", "1.0.0", json!({})), definition("http://t/other", "1")])).expect("writes");
    assert_eq!(run(&["profiles", "install", &name, "--dir", &dir]), Ok(Exit::Bad));
    assert_eq!(fs::read(Path::new(&dir).join("packages.lock.json")).expect("lock"), before);
    // What lies there is changed behind our back.
    fs::remove_dir_all(Path::new(&dir).join(".compiled")).expect("was kept");
    fs::copy(&source, Path::new(&dir).join("t#1.0.0.tgz")).expect("copies");
    let installed = Installed::at(Path::new(&dir)).expect("lock");
    assert!(matches!(installed.load("t#1.0.0"), Err(Error::Checksum { .. })));
    assert!(matches!(installed.load("t#2.0.0"), Err(Error::NotInstalled(_))));
}

#[test]
fn versions_stand_side_by_side_and_dependencies_come_first() {
    let place = TempDir::new().expect("a folder");
    let mut installed = Installed::at(place.path()).expect("empty");
    let checked = |bytes: Vec<u8>| Checked::tgz("x", bytes, "test").expect("good");
    let needs = json!({"base": "1.0.x", "hl7.fhir.r4.core": "4.0.1", "absent": "2.0.0"});
    let all = [
        checked(good("base", "1.0.0", json!({"guide": "1.0.0"}))),
        checked(good("base", "1.0.9", json!({}))),
        checked(good("base", "2.0.0", json!({}))),
        checked(good("guide", "1.0.0", needs)),
    ];
    assert_eq!(installed.add(&all).expect("adds").len(), 4);
    let (packs, warnings) = installed.load("guide#1.0.0").expect("loads");
    let labels: Vec<&str> = packs.iter().map(|pack| pack.label.as_str()).collect();
    assert_eq!(labels, ["base#1.0.9", "guide#1.0.0"]);
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(installed.missing("guide#1.0.0"), ["absent#2.0.0"]);
    let wanted = ["base#1.0.0", "base#2.0.0", "base#1.0.9"].map(str::to_owned);
    let (all, _) = Definitions::load(place.path(), &wanted).expect("loads");
    let has = |canonical: &str, code: &str| {
        let set = all.value_set(canonical).expect("at hand");
        set.contains(None, code) == liaison::definitions::Membership::Yes
    };
    assert!(has("http://base/x|1.0.0", "1.0.0") && has("http://base/x|2.0.0", "2.0.0"));
    assert!(has("http://base/x", "2.0.0"), "without a version the highest is meant");
    assert!(has("http://base/x|1.0", "1.0.9"), "a patch of 1.0");
    assert!(all.value_set("http://base/x|3.0.0").is_none());
    assert_eq!(entries(&place.path().join(".compiled")).len(), 4, "one each");
    // A kept pack that is damaged is made anew.
    for name in entries(&place.path().join(".compiled")) {
        fs::write(place.path().join(".compiled").join(name), b"damaged").expect("writes");
    }
    assert!(Definitions::load(place.path(), &wanted).is_ok());
    assert!(matches!(Definitions::load(place.path(), &["nobody#1".to_owned()]), Err(Error::NotInstalled(_))));
}

/// A registry in memory.
struct Fake(BTreeMap<String, Vec<u8>>);

impl Fetch for Fake {
    fn get(&self, url: &Url) -> Result<Vec<u8>, String> {
        self.0.get(url.as_str()).cloned().ok_or_else(|| "it answers 404".to_owned())
    }
}

#[test]
fn a_registry_gives_packages_with_what_they_need() {
    use sha1::Digest;
    let mut served = BTreeMap::new();
    let mut serve = |name: &str, version: &str, dependencies: Value, shasum: Option<&str>| {
        let bytes = good(name, version, dependencies);
        let sum = sha1::Sha1::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let listing = json!({"name": name, "dist-tags": {"latest": version},
            "versions": {version: {"dist": {"shasum": shasum.unwrap_or(&sum), "tarball": "http://evil.example/x"}}}});
        served.insert(format!("https://r.example/p/{name}"), listing.to_string().into_bytes());
        served.insert(format!("https://r.example/p/{name}/{version}"), bytes);
    };
    serve("guide", "1.0.0", json!({"base": "2.0.x", "hl7.fhir.r4.core": "4.0.1", "gone": "1.0.0"}), None);
    serve("base", "2.0.7", json!({"guide": "1.0.0"}), None);
    serve("bad", "1.0.0", json!({}), Some("00"));
    let other = served["https://r.example/p/base/2.0.7"].clone();
    served.insert("https://r.example/p/swapped".to_owned(), br#"{"versions":{"1.0.0":{}}}"#.to_vec());
    served.insert("https://r.example/p/swapped/1.0.0".to_owned(), other);
    let fake = Fake(served);
    let registry = Registry { url: Url::parse("https://r.example/p/").expect("valid"), fetch: &fake };
    let place = TempDir::new().expect("a folder");
    let mut installed = Installed::at(place.path()).expect("empty");
    let (fetched, missing) = registry.fetch("guide", &installed).expect("fetches");
    let labels: Vec<String> = fetched.iter().map(|one| one.package.label()).collect();
    assert_eq!(labels, ["guide#1.0.0", "base#2.0.7"]);
    assert_eq!(missing, ["gone#1.0.0"]);
    installed.add(&fetched).expect("adds");
    let lock: Value =
        serde_json::from_slice(&fs::read(place.path().join("packages.lock.json")).expect("lock")).expect("JSON");
    assert_eq!(lock["packages"]["base#2.0.7"]["from"], json!("https://r.example/p/base/2.0.7"));
    assert!(matches!(registry.fetch("bad#1.0.0", &installed), Err(Error::Checksum { .. })));
    assert!(matches!(registry.fetch("swapped#1.0.0", &installed), Err(Error::Unsafe { .. })));
    for absent in ["absent", "guide#9.9.9", "../x#1", "guide#../1"] {
        assert!(matches!(registry.fetch(absent, &installed), Err(Error::Registry { .. })), "{absent}");
    }
}

#[test]
fn folders_and_loose_files_load_too() {
    let place = TempDir::new().expect("a folder");
    let set = |url: &str| {
        json!({"resourceType": "ValueSet", "url": url, "compose": {"include": [
        {"system": "http://t", "concept": [{"code": "a"}]}]}})
    };
    let loose = place.path().join("loose/deep");
    fs::create_dir_all(&loose).expect("makes");
    fs::write(loose.join("a.json"), set("http://t/a").to_string()).expect("writes");
    let bundle =
        json!({"resourceType": "Bundle", "entry": [{"resource": set("http://t/b")}, {"resource": set("http://t/c")}]});
    fs::write(loose.join("b.json"), bundle.to_string()).expect("writes");
    fs::write(loose.join("notes.txt"), "not JSON").expect("writes");
    fs::write(loose.join("broken.json"), "{").expect("writes");
    let (pack, warnings) = load(&place.path().join("loose"), None).expect("loads");
    assert_eq!(pack.entries.len(), 3);
    assert!(warnings.len() == 1 && warnings[0].contains("broken.json"), "{warnings:?}");
    let (one, warnings) = load(&loose.join("a.json"), None).expect("loads");
    assert_eq!((one.entries.len(), warnings.len()), (1, 0));
    // A package as a folder, which can be installed too.
    let folder = place.path().join("packed/package");
    fs::create_dir_all(&folder).expect("makes");
    fs::write(folder.join("package.json"), r#"{"name":"t","version":"1.0.0"}"#).expect("writes");
    fs::write(folder.join("a.json"), set("http://t/a").to_string()).expect("writes");
    for path in [&folder, &place.path().join("packed")] {
        let (pack, warnings) = load(path, None).expect("loads");
        assert_eq!((pack.label.as_str(), pack.entries.len(), warnings.len()), ("t#1.0.0", 1, 0));
        let dir = place.path().join("packages").to_string_lossy().into_owned();
        assert_eq!(run(&["profiles", "install", &path.to_string_lossy(), "--dir", &dir]), Ok(Exit::Good));
    }
    assert!(Installed::at(&place.path().join("packages")).expect("lock").has("t#1.0.0"));
}

#[test]
fn our_own_package_loads_without_a_warning_and_compiles() {
    let (bytes, warnings) = own::practice().pack();
    assert_eq!(warnings, Vec::<String>::new());
    assert!(!bytes.is_empty());
    let all = own::with_practice();
    assert_eq!(all.packages().last().map(ToString::to_string).as_deref(), Some("practice.example#1.0.0"));
    let ours: Vec<_> =
        all.list("StructureDefinition").filter(|found| found.package == "practice.example#1.0.0").collect();
    assert_eq!(ours.len(), 2);
    for found in ours {
        let structure = all.structure(&format!("{}|{}", found.url, found.version)).expect("compiles");
        assert_eq!(structure.problems, Vec::<String>::new(), "{}", found.url);
    }
}

#[test]
fn genuine_packages_load_without_a_false_warning() {
    let cache = TempDir::new().expect("a folder");
    for name in [
        "hl7.fhir.us.core-3.1.0",
        "hl7.fhir.us.core-3.1.1",
        "hl7.fhir.us.core-6.1.0",
        "hl7.fhir.us.core-7.0.0",
        "hl7.fhir.uv.ips-1.1.0",
        "hl7.fhir.uv.extensions.r4-5.3.0",
    ] {
        let Some(path) = shared(&format!("packages/{name}.tgz")) else { return };
        let (pack, warnings) = load(&path, Some(cache.path())).expect("loads");
        assert_eq!(warnings, Vec::<String>::new(), "{name}");
        let (kept, _) = load(&path, Some(cache.path())).expect("loads from the cache");
        assert_eq!(kept.entries, pack.entries);
        let all = Definitions::with_packages([pack]).expect("core pack");
        let label = all.packages().last().expect("a package").to_owned();
        let mut seen = 0;
        for found in all.list("StructureDefinition").filter(|found| found.package == label) {
            let structure = all.structure(&format!("{}|{}", found.url, found.version)).expect("compiles");
            assert_eq!(structure.problems, Vec::<String>::new(), "{}", found.url);
            seen += 1;
        }
        assert!(seen > 25, "{name}: {seen}");
    }
    assert_eq!(entries(cache.path()).len(), 6);
}
