//! What a text that is no JSON is instead: other forms of FHIR, documents, archives, other encodings, tables, so that the
//! reader is told what the file is and what to do, and not that "a value was expected". Looks at the beginning only and
//! guesses nothing about what begins like JSON.

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// With its article: "a PDF document".
    pub name: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// Whether the first bytes prove it, so that reading line by line is in vain.
    pub certain: bool,
}

impl Foreign {
    /// "this is a PDF document, not JSON".
    #[must_use]
    pub fn sentence(&self) -> String {
        if self.name.starts_with("empty") {
            format!("this is {}: there is nothing to read", self.name)
        } else {
            format!("this is {}, not JSON", self.name)
        }
    }
}

/// So much of a file is looked at.
const HEAD: usize = 4096;

const CONVERT: &str = "convert it to FHIR JSON first: only JSON is read here";
const UNPACK: &str = "unpack it first and name the .json or .ndjson files in it";
const TEXT: &str = "export the record as FHIR JSON: only JSON is read here";

/// First bytes, what they mean, what to do.
const MAGIC: &[(&[u8], &str, &str)] = &[
    (b"%PDF-", "a PDF document", TEXT),
    (
        b"PK\x03\x04",
        "a zip archive (or an Office document, which is one)",
        "unzip it first and name the .json or .ndjson files in it",
    ),
    (b"PK\x05\x06", "an empty zip archive", UNPACK),
    (
        b"\x1F\x8B",
        "a gzip file",
        "unpack it first: gunzip, or tar -xzf where it is a .tgz (a FHIR package goes with --package)",
    ),
    (b"BZh", "a bzip2 file", "unpack it first: bunzip2"),
    (b"\xFD7zXZ\0", "an xz file", "unpack it first: unxz"),
    (b"\x28\xB5\x2F\xFD", "a zstd file", "unpack it first: unzstd"),
    (b"7z\xBC\xAF\x27\x1C", "a 7z archive", UNPACK),
    (b"Rar!\x1A\x07", "a RAR archive", UNPACK),
    (b"\x89PNG\r\n", "a PNG picture", TEXT),
    (b"\xFF\xD8\xFF", "a JPEG picture", TEXT),
    (b"GIF8", "a GIF picture", TEXT),
    (b"II*\0", "a TIFF picture", TEXT),
    (b"MM\0*", "a TIFF picture", TEXT),
    (b"\xD0\xCF\x11\xE0", "an old Office document", TEXT),
    (b"SQLite format 3\0", "an SQLite database", TEXT),
    (b"PAR1", "a Parquet file", TEXT),
    (b"\x7FELF", "a program", "name a file with FHIR JSON"),
    (b"{\\rtf", "an RTF document", TEXT),
    (b"%!PS", "a PostScript document", TEXT),
    (b"version https://git-lfs", "a pointer of Git LFS, whose file was not fetched", "fetch it first: git lfs pull"),
];

/// What these bytes are, where they begin like something that is not JSON.
#[must_use]
pub fn foreign(bytes: &[u8]) -> Option<Foreign> {
    let sure = |name, remedy| Some(Foreign { name, remedy, certain: true });
    if let Some(encoding) = encoding(bytes) {
        return Some(encoding);
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if let Some((_, name, remedy)) = MAGIC.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
        return sure(name, remedy);
    }
    let head = &bytes[..bytes.len().min(HEAD)];
    if bytes.get(257..262) == Some(b"ustar") {
        return sure("a tar archive", "unpack it first: tar -xf");
    }
    if bytes.get(128..132) == Some(b"DICM") {
        return sure("a DICOM file", TEXT);
    }
    let text = head.trim_ascii_start();
    if text.is_empty() {
        let blank = if bytes.is_empty() { "empty" } else { "empty but for blanks" };
        return (bytes.len() <= HEAD).then_some(Foreign {
            name: blank,
            remedy: "look at what wrote it",
            certain: true,
        });
    }
    if text[0] == b'<' {
        return Some(marked_up(text));
    }
    if head.iter().all(|byte| *byte == 0) {
        return sure("a file of zero bytes", "look at what wrote it: perhaps it broke off");
    }
    if head.contains(&0) {
        return sure("a binary file", "name a file with FHIR JSON");
    }
    let text = String::from_utf8_lossy(text);
    plain(&text)
}

/// Encodings other than UTF-8, by their mark or by the zeros between plain letters.
fn encoding(bytes: &[u8]) -> Option<Foreign> {
    let is = |name, remedy| Some(Foreign { name, remedy, certain: true });
    let is_letter = |byte: u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    match bytes {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => {
            is("text in UTF-32", "store it as UTF-8: iconv -f UTF-32 -t UTF-8 FILE")
        }
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => is("text in UTF-16", "store it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE"),
        [first, 0, second, 0, ..] if is_letter(*first) && is_letter(*second) => {
            is("text in UTF-16", "store it as UTF-8: iconv -f UTF-16LE -t UTF-8 FILE")
        }
        [0, first, 0, second, ..] if is_letter(*first) && is_letter(*second) => {
            is("text in UTF-16", "store it as UTF-8: iconv -f UTF-16BE -t UTF-8 FILE")
        }
        _ => None,
    }
}

fn marked_up(text: &[u8]) -> Foreign {
    let head = String::from_utf8_lossy(text).to_lowercase();
    let has = |what: &str| head.contains(what);
    let (name, remedy) = if head.starts_with("<!doctype html") || has("<html") {
        (
            "a web page (HTML)",
            "perhaps a log-in or error page was saved instead of the record; fetch it again as FHIR JSON",
        )
    } else if has("<clinicaldocument") {
        ("a CDA document (XML)", CONVERT)
    } else if has("http://hl7.org/fhir") {
        ("FHIR in XML", "convert it to FHIR JSON first, or ask the server with Accept: application/fhir+json")
    } else {
        ("XML", "convert it to FHIR JSON first, or ask the server with Accept: application/fhir+json")
    };
    Foreign { name, remedy, certain: true }
}

/// Texts without a mark of their own: by their first lines.
fn plain(text: &str) -> Option<Foreign> {
    let text = text.trim_start_matches('\u{b}');
    let guess = |name, remedy| Some(Foreign { name, remedy, certain: false });
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let (first, second) = (lines.next().unwrap_or_default().trim_end(), lines.next().map(str::trim_end));
    let begins = |words: &[&str]| words.iter().any(|word| text.starts_with(word));
    if begins(&["MSH|", "FHS|", "BHS|"]) {
        return guess("an HL7 version 2 message", CONVERT);
    }
    if begins(&["ISA*", "UNB+", "UNA:"]) {
        return guess("an EDI message", CONVERT);
    }
    if begins(&["@prefix", "PREFIX ", "@base"]) {
        return guess("RDF in Turtle", CONVERT);
    }
    if begins(&["HTTP/1", "HTTP/2"]) {
        return guess("a whole HTTP answer, headers included", "keep only its body: curl without -i");
    }
    if begins(&["BEGIN:VCARD", "BEGIN:VCALENDAR"]) {
        return guess("a vCard or calendar file", CONVERT);
    }
    if begins(&["-----BEGIN "]) {
        return guess("a PEM file (a key or certificate)", "name a file with FHIR JSON");
    }
    if begins(&["//", "/*"]) {
        return guess(
            "text that begins with a comment",
            "take the comments out; `validate` takes --option allow-comments",
        );
    }
    // `[section]` and `key = value`: what begins like a list is one, unless the next line says otherwise.
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    let section = first.starts_with('[') && first.ends_with(']') && first.trim_matches(['[', ']']).chars().all(bare);
    let assigns = |line: &str| line.split_once('=').is_some_and(|(key, _)| !key.is_empty() && key.chars().all(bare));
    let named = |line: &str| first.starts_with('[') && line.chars().any(|c| c.is_ascii_alphabetic());
    if (section && named(first) && second.is_some_and(|line| assigns(line) || line.starts_with('#')))
        || (assigns(first) && !first.starts_with(['{', '[']))
    {
        return guess("TOML or an INI file", "name a file with FHIR JSON");
    }
    if text.starts_with(['{', '[', '"']) {
        return None;
    }
    let key = |line: &str| {
        let name = line.trim_start().trim_start_matches("- ").split_once(':');
        name.is_some_and(|(name, rest)| {
            !name.is_empty() && name.chars().all(|c| c != ' ' && bare(c)) && (rest.is_empty() || rest.starts_with(' '))
        })
    };
    if first == "---" || first.starts_with("--- ") || first.starts_with("%YAML") || key(first) {
        return guess("YAML", "convert it to JSON first: only JSON is read here");
    }
    for (mark, name) in [('\t', "a table (TSV)"), (';', "a table (CSV)"), (',', "a table (CSV)")] {
        let count = |line: &str| line.matches(mark).count();
        if count(first) > 0 && second.is_none_or(|second| count(second) > 0) {
            return guess(name, CONVERT);
        }
    }
    let word = first.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let json = ["true", "false", "null"].contains(&word) || first.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    if json { None } else { guess("plain text", "name a file with FHIR JSON") }
}

#[cfg(test)]
mod tests {
    use super::foreign;

    #[test]
    fn each_is_named_for_what_it_is() {
        let utf16: Vec<u8> = "{\"a\":1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut marked = vec![0xFF, 0xFE];
        marked.extend_from_slice(&utf16);
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let cases: &[(&[u8], &str)] = &[
            (b"", "empty"),
            (b" \n\t", "blanks"),
            (b"\xEF\xBB\xBF", "empty"),
            (b"<?xml version=\"1.0\"?><Patient xmlns=\"http://hl7.org/fhir\"/>", "FHIR in XML"),
            (b"\xEF\xBB\xBF<Patient xmlns='http://hl7.org/fhir'/>", "FHIR in XML"),
            (b"<a/>", "XML"),
            (b"<!DOCTYPE html><html>", "HTML"),
            (b"%PDF-1.7", "PDF"),
            (b"PK\x03\x04..", "zip"),
            (b"\x1F\x8B\x08", "gzip"),
            (b"BZh91AY", "bzip2"),
            (&marked, "UTF-16"),
            (&utf16, "UTF-16"),
            (&tar, "tar"),
            (&[0; 64], "zero bytes"),
            (b"ab\x01\x00\x02", "binary"),
            (b"MSH|^~\\&|A|B", "HL7 version 2"),
            (b"resourceType: Patient\nid: x\n", "YAML"),
            (b"---\na: 1\n", "YAML"),
            (b"id,family,given\n1,a,b\n", "CSV"),
            (b"id;family\n1;a\n", "CSV"),
            (b"id\tfamily\n1\ta\n", "TSV"),
            (b"[server]\nlisten = \"x\"\n", "TOML"),
            (b"@prefix fhir: <http://hl7.org/fhir/> .", "Turtle"),
            (b"HTTP/1.1 200 OK\r\nContent-Type: x\r\n", "HTTP"),
            (b"Dear colleague\n", "plain text"),
        ];
        for (bytes, name) in cases {
            let found = foreign(bytes).unwrap_or_else(|| panic!("{name}"));
            assert!(found.name.contains(name) && !found.remedy.is_empty(), "{name}: {found:?}");
        }
    }

    #[test]
    fn what_begins_like_json_is_left_to_the_reader() {
        for text in ["{\"a\": 1,}", "[1 2]", "\"x", "[a]", "1.", "-", "{a: 1}", "\u{feff}{\"a\":1}"] {
            assert_eq!(foreign(text.as_bytes()), None, "{text}");
        }
    }
}
