//! A pack: one package's definitions in the form that is embedded and cached on disk. A small index, then blocks of
//! JSON that are inflated one by one when something in them is first asked for, so that a start pays for little.
//! Refuses a pack of another format version or with a damaged index; its bytes depend on nothing but its content.
//!
//! Layout: magic, length of the deflated index (u32, little endian), index, blocks. The index is text: the label
//! and those of the packages it needs; one line a block (`offset length inflated`); an empty line; one tab-separated line an entry.

use std::{
    borrow::Cow,
    io::{Read, Write},
    sync::{Arc, OnceLock},
};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};

use super::Error;
use crate::fhir::{self, Value};

/// Changes when the layout or what is kept changes; cached packs of another version are made anew.
pub const FORMAT: u32 = 2;
const MAGIC: &[u8; 8] = b"LIAPACK\x01";
const BLOCK_BYTES: usize = 96 * 1024;
/// No block or index of ours is larger once inflated (one resource makes a block of its own if it must).
const MOST_INFLATED: u64 = 256 << 20;

/// One resource of a pack.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// `StructureDefinition`, `ValueSet`, …
    pub resource_type: String,
    /// Canonical URL.
    pub url: String,
    /// Business version; empty if it has none.
    pub version: String,
    /// For a CodeSystem that is a supplement: what it supplements.
    pub supplements: String,
    /// For a CodeSystem: the canonical of the value set of all its codes.
    pub value_set: String,
    block: usize,
    offset: usize,
    length: usize,
}

struct Block {
    start: usize,
    length: usize,
    inflated: usize,
    bytes: OnceLock<Option<Arc<[u8]>>>,
}

/// A package's definitions, lazily inflated.
pub struct Pack {
    /// `name#version`, or a file's name for loose files.
    pub label: String,
    /// Labels of the packages it says it needs.
    pub dependencies: Vec<String>,
    /// In order of type, URL and version.
    pub entries: Vec<Entry>,
    bytes: Cow<'static, [u8]>,
    blocks: Vec<Block>,
}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pack").field("label", &self.label).field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

impl Pack {
    /// Reads the index of a pack; blocks are left alone.
    ///
    /// # Errors
    /// [`Error::Pack`] if it is not a pack of this format.
    pub fn open(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, Error> {
        Self::read(bytes.into()).ok_or(Error::Pack)
    }

    fn read(bytes: Cow<'static, [u8]>) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let index = inflate(rest.get(..length)?, None)?;
        let data = MAGIC.len() + 4 + length;
        let text = std::str::from_utf8(&index).ok()?;
        let mut lines = text.lines();
        let mut labels = lines.next()?.split('\t').map(str::to_owned);
        let (label, dependencies) = (labels.next()?, labels.collect());
        let mut blocks = Vec::new();
        for line in lines.by_ref().take_while(|line| !line.is_empty()) {
            let mut numbers = line.split('\t').map(str::parse::<usize>);
            let mut next = || numbers.next()?.ok();
            let block = Block { start: data + next()?, length: next()?, inflated: next()?, bytes: OnceLock::new() };
            bytes.get(block.start..block.start.checked_add(block.length)?)?;
            blocks.push(block);
        }
        let entries = lines.map(|line| entry(line, blocks.len())).collect::<Option<Vec<_>>>()?;
        Some(Self { label, dependencies, entries, bytes, blocks })
    }

    /// The JSON of an entry; `None` if its block is damaged.
    #[must_use]
    pub fn json(&self, entry: &Entry) -> Option<Json> {
        let block = self.blocks.get(entry.block)?;
        let inflated = block.bytes.get_or_init(|| {
            let raw = &self.bytes[block.start..block.start + block.length];
            if block.length == block.inflated {
                return Some(Arc::from(raw));
            }
            inflate(raw, Some(block.inflated)).map(Arc::from)
        });
        let bytes = Arc::clone(inflated.as_ref()?);
        let end = entry.offset.checked_add(entry.length)?;
        bytes.get(entry.offset..end)?;
        Some(Json { bytes, range: entry.offset..end })
    }

    /// The resource of an entry; `None` if it cannot be read.
    #[must_use]
    pub fn value(&self, entry: &Entry) -> Option<Value> {
        fhir::read(self.json(entry)?.as_bytes()).ok()
    }
}

/// A resource's text within its inflated block.
pub struct Json {
    bytes: Arc<[u8]>,
    range: std::ops::Range<usize>,
}

impl Json {
    /// The text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}

fn inflate(bytes: &[u8], expected: Option<usize>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(expected.unwrap_or(bytes.len() * 6).min(1 << 24));
    DeflateDecoder::new(bytes).take(MOST_INFLATED).read_to_end(&mut out).ok()?;
    expected.is_none_or(|expected| expected == out.len()).then_some(out)
}

fn entry(line: &str, blocks: usize) -> Option<Entry> {
    let mut fields = line.split('\t');
    let mut text = || fields.next().map(str::to_owned);
    let (resource_type, url, version, supplements, value_set) = (text()?, text()?, text()?, text()?, text()?);
    let mut number = || text()?.parse::<usize>().ok();
    let (block, offset, length) = (number()?, number()?, number()?);
    (block < blocks).then_some(Entry { resource_type, url, version, supplements, value_set, block, offset, length })
}

/// Makes a pack. Resources without a type and a canonical URL are not definitions and are left out.
pub struct Builder {
    label: String,
    resources: Vec<(Entry, Vec<u8>)>,
    level: Compression,
}

impl Builder {
    /// A pack that is kept: packed tightly.
    #[must_use]
    pub fn tight(label: &str) -> Self {
        Self { label: label.replace(['\n', '\t'], " "), resources: Vec::new(), level: Compression::best() }
    }

    /// A pack for a while: made fast.
    #[must_use]
    pub fn fast(label: &str) -> Self {
        Self { level: Compression::fast(), ..Self::tight(label) }
    }

    /// Notes a package that this one needs, by its label.
    pub fn needs(&mut self, label: &str) {
        self.label.push('\t');
        self.label.push_str(&label.replace(['\n', '\t'], " "));
    }

    /// Adds a resource, as it is. False if it is no definition.
    pub fn add(&mut self, resource: &Value) -> bool {
        let text = |name: &str| {
            let text = resource.get(name).and_then(Value::as_str).unwrap_or_default();
            text.replace(['\n', '\r', '\t'], " ").trim().to_owned()
        };
        let entry = Entry {
            resource_type: text("resourceType"),
            url: text("url"),
            version: text("version"),
            supplements: text("supplements"),
            value_set: if text("resourceType") == "CodeSystem" { text("valueSet") } else { String::new() },
            ..Entry::default()
        };
        if entry.resource_type.is_empty() || entry.url.is_empty() {
            return false;
        }
        self.resources.push((entry, resource.to_string().into_bytes()));
        true
    }

    /// The pack's bytes; the order of adding does not matter.
    #[must_use]
    pub fn build(mut self) -> Vec<u8> {
        self.resources.sort();
        self.resources.dedup_by(|a, b| a == b);
        let (mut data, mut index, mut entries) = (Vec::new(), format!("{}\n", self.label), String::new());
        let mut blocks = 0_usize;
        let mut rest = self.resources.as_slice();
        while let Some((first, _)) = rest.first() {
            let mut block = Vec::new();
            let mut taken = 0;
            for (entry, json) in rest {
                let full = !block.is_empty() && block.len() + json.len() > BLOCK_BYTES;
                if full || entry.resource_type != first.resource_type {
                    break;
                }
                let Entry { resource_type, url, version, supplements, value_set, .. } = entry;
                let (offset, length) = (block.len(), json.len());
                let line = format!(
                    "{resource_type}\t{url}\t{version}\t{supplements}\t{value_set}\t{blocks}\t{offset}\t{length}\n"
                );
                entries.push_str(&line);
                block.extend_from_slice(json);
                taken += 1;
            }
            let start = data.len();
            let deflated = deflate(&block, self.level);
            // A block that deflating does not shorten is stored as it is; equal lengths say so.
            data.extend_from_slice(if deflated.len() < block.len() { &deflated } else { &block });
            index.push_str(&format!("{start}\t{}\t{}\n", data.len() - start, block.len()));
            blocks += 1;
            rest = &rest[taken..];
        }
        index.push('\n');
        index.push_str(&entries);
        let index = deflate(index.as_bytes(), self.level);
        let length = u32::try_from(index.len()).unwrap_or(u32::MAX);
        [MAGIC.as_slice(), &length.to_le_bytes(), &index, &data].concat()
    }
}

fn deflate(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), level);
    // Writing to memory does not fail; if it did, the pack would not open.
    if encoder.write_all(bytes).is_err() {
        return Vec::new();
    }
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pack(order: &[usize]) -> Vec<u8> {
        let resources = [
            json!({"resourceType": "ValueSet", "url": "http://a", "version": "1"}),
            json!({"resourceType": "ValueSet", "url": "http://a", "version": "2"}),
            json!({"resourceType": "CodeSystem", "url": "http://b", "valueSet": "http://a", "count": 12}),
        ];
        let mut builder = Builder::tight("x#1");
        for at in order {
            assert!(builder.add(&resources[*at]));
        }
        assert!(!builder.add(&json!({"resourceType": "Patient"})));
        builder.build()
    }

    #[test]
    fn comes_back_whole_and_in_one_order() {
        let bytes = pack(&[0, 1, 2]);
        assert_eq!(bytes, pack(&[2, 1, 0]));
        let pack = Pack::open(bytes).unwrap();
        assert_eq!(pack.label, "x#1");
        let found: Vec<_> = pack.entries.iter().map(|entry| (entry.url.as_str(), entry.version.as_str())).collect();
        assert_eq!(found, [("http://b", ""), ("http://a", "1"), ("http://a", "2")]);
        assert_eq!(pack.value(&pack.entries[0]).unwrap()["count"], json!(12));
        assert_eq!(pack.entries[0].value_set, "http://a");
    }

    #[test]
    fn refuses_damage() {
        let bytes = pack(&[0, 1, 2]);
        assert!(Pack::open(bytes[1..].to_vec()).is_err());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x41;
            // Never a panic; what still opens is merely missing or unreadable.
            if let Ok(pack) = Pack::open(damaged) {
                for entry in &pack.entries {
                    let _ = pack.value(entry);
                }
            }
        }
        assert!(Pack::open(bytes[..bytes.len() - 1].to_vec()).is_err());
    }
}
