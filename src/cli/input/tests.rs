//! Folders, links, pipes, lines, and what is no JSON.

use super::*;

fn all(paths: &[PathBuf]) -> (Vec<Document>, Result<(), CouldNotRun>) {
    let mut found = Vec::new();
    let end = each(paths, &Progress::hidden(), |document| {
        found.push(document);
        Ok(ControlFlow::Continue(()))
    });
    (found, end)
}

fn ends(found: &[Document]) -> Vec<String> {
    found.iter().map(|document| document.name.rsplit('/').next().unwrap().to_owned()).collect()
}

#[test]
fn folders_lines_and_names() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("b")).unwrap();
    std::fs::write(folder.path().join("b/x.ndjson"), "{}\n\n[1]\n").unwrap();
    std::fs::write(folder.path().join("a.json"), "{\n}").unwrap();
    std::fs::write(folder.path().join("c.txt"), "no").unwrap();
    let (found, end) = all(&[folder.path().to_owned()]);
    end.unwrap();
    assert_eq!(ends(&found), ["a.json", "x.ndjson:1", "x.ndjson:3"]);
    assert_eq!(found[2].lines_before, 2);
}

#[test]
fn one_missing_path_hides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.json");
    std::fs::write(&file, "{}").unwrap();
    let (found, end) = all(&[folder.path().join("missing.json"), file, folder.path().join("gone")]);
    assert_eq!(ends(&found), ["a.json"]);
    let told = end.unwrap_err().to_string();
    assert!(told.contains("missing.json") && told.contains("gone"), "{told}");
}

#[test]
fn links_that_lead_back_count_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("b");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(inner.join("x.json"), "{}").unwrap();
    std::os::unix::fs::symlink(folder.path(), inner.join("up")).unwrap();
    std::os::unix::fs::symlink(inner.join("x.json"), inner.join("y.json")).unwrap();
    std::os::unix::fs::symlink("self", folder.path().join("self")).unwrap();
    let (found, end) = all(&[folder.path().to_owned()]);
    end.unwrap();
    assert_eq!(ends(&found), ["x.json"]);
}

#[test]
fn pipes_and_sockets_in_a_folder_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.json"), "{}").unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.path().join("pipe.json"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket.json")).unwrap();
    let (found, end) = all(&[folder.path().to_owned()]);
    end.unwrap();
    assert_eq!(ends(&found), ["x.json"]);
    let (found, end) = all(&[folder.path().join("socket.json"), PathBuf::from("/dev/null")]);
    assert!(found.is_empty());
    let told = end.unwrap_err().to_string();
    assert!(told.contains("socket") && told.contains("device"), "{told}");
}

#[test]
fn a_named_pipe_is_read_and_one_without_a_writer_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.json");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let to = pipe.clone();
    let writer = std::thread::spawn(move || std::fs::write(to, "{\"a\": 1}"));
    let (found, end) = all(std::slice::from_ref(&pipe));
    end.unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(found[0].bytes, b"{\"a\": 1}");
    let (found, end) = all(&[pipe]);
    assert!(found.is_empty() && end.unwrap_err().to_string().contains("nobody writes"));
}

#[test]
fn a_file_without_a_line_is_one_document_and_an_archive_as_well() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.ndjson"), "").unwrap();
    std::fs::write(folder.path().join("b.ndjson"), "\n\n").unwrap();
    std::fs::write(folder.path().join("c.ndjson"), b"\x1F\x8B\n\n\n1\n2\n").unwrap();
    std::fs::write(folder.path().join("d.ndjson"), "no JSON\n{}\n").unwrap();
    let (found, end) = all(&[folder.path().to_owned()]);
    end.unwrap();
    assert_eq!(ends(&found), ["a.ndjson", "b.ndjson", "c.ndjson", "d.ndjson:1", "d.ndjson:2"]);
}

#[test]
fn one_value_or_lines_on_standard_input() {
    let kind = |text: &str| first_lines(&mut text.as_bytes(), &mut Vec::new()).unwrap();
    assert_eq!(kind("{\n \"a\": 1\n}"), Kind::One);
    assert_eq!(kind("{}"), Kind::One);
    assert_eq!(kind("[\n{\"a\": 1}\n]"), Kind::One);
    assert_eq!(kind("{}\n{}\n"), Kind::Lines);
    assert_eq!(kind("\n{\"a\": }\n{}\n"), Kind::Lines);
    assert_eq!(kind("<a>\n<b/>\n</a>"), Kind::One);
}

#[test]
fn what_is_no_json_is_named() {
    let named = |text: &[u8]| {
        let document = Document { name: "x".into(), file: "x".into(), bytes: text.to_vec(), lines_before: 0 };
        read(&document, Limits::default()).unwrap_err()
    };
    assert!(named(b"<Patient/>").sentence.contains("XML"));
    assert!(named(b"").sentence.contains("empty"));
    assert!(named(b"{}\n{}\n").remedy.contains("ndjson"));
    let latin = named(b"{\"a\": \"\xE9\"}");
    assert!(latin.sentence.contains("UTF-8") && latin.remedy.contains("iconv") && latin.at == Some((1, 8)));
    let syntax = named(b"{\"a\": 1,\n}");
    assert_eq!(syntax.at, Some((2, 1)));
}
