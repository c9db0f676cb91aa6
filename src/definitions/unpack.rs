//! Reads a `.tgz` from anywhere without trusting it: into memory, file by file, within bounds. Refuses paths that
//! leave the package (`../`, absolute, drive letters), links and devices, a PAX `size` that is not the header's, the
//! same path twice, and more data than any package needs. All is checked before a caller sees (and may write) anything.
//! <https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html>, <https://confluence.hl7.org/display/FHIR/NPM+Package+Specification>

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry, EntryType};

use super::Error;

/// How much a package may hold. The largest published ones stay well below.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of all files together, inflated.
    pub total: u64,
    /// Bytes of one file.
    pub file: u64,
    /// Number of files.
    pub files: usize,
    /// Inflated size as a multiple of the compressed; only looked at beyond 16 MiB.
    pub ratio: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { total: 1 << 30, file: 128 << 20, files: 100_000, ratio: 200 }
    }
}

/// Members of a tar that describe the next member.
#[derive(Default)]
struct Ahead {
    path: Option<String>,
    size: Option<u64>,
}

/// The files of a `.tgz`, by path with forward slashes.
///
/// # Errors
/// [`Error::Unsafe`] naming the member, or [`Error::Unreadable`] if it is no complete gzipped tar.
pub fn tgz(package: &str, bytes: &[u8], bounds: Bounds) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let refuse = |why: String| Error::unsafe_(package, why);
    let broken = |error: io::Error| Error::unreadable(package, format!("not a complete .tgz ({})", error.kind()));
    let allowed = bounds.total.min((bytes.len() as u64).saturating_mul(bounds.ratio).max(16 << 20));
    let mut reader = Counted { inner: MultiGzDecoder::new(bytes), left: allowed };
    let mut files = BTreeMap::new();
    let mut ahead = Ahead::default();
    let mut archive = Archive::new(&mut reader);
    let entries = archive.entries().map_err(broken)?.raw(true);
    for entry in entries {
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(refuse("it inflates to far more than a package needs".to_owned()));
            }
            Err(error) => return Err(broken(error)),
        };
        let header = entry.header();
        let size = header.size().map_err(broken)?;
        let kind = header.entry_type();
        let own = String::from_utf8(header.path_bytes().into_owned())
            .map_err(|_| refuse("a path that is not UTF-8".to_owned()))?;
        if size > bounds.file {
            return Err(refuse(format!("'{}' is larger than {} bytes", shown(&own), bounds.file)));
        }
        match kind {
            EntryType::XGlobalHeader => {}
            EntryType::XHeader => pax(&content(&mut entry, package)?, &mut ahead).map_err(refuse)?,
            EntryType::GNULongName => {
                let name = content(&mut entry, package)?;
                let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
                ahead.path = Some(String::from_utf8_lossy(&name[..end]).into_owned());
            }
            EntryType::Regular | EntryType::Continuous | EntryType::Directory => {
                let Ahead { path, size: promised } = std::mem::take(&mut ahead);
                let path = safe(&path.unwrap_or(own)).map_err(refuse)?;
                if promised.is_some_and(|promised| promised != size) {
                    return Err(refuse(format!("'{}': its PAX size is not its header's", shown(&path))));
                }
                if kind == EntryType::Directory {
                    continue;
                }
                let bytes = content(&mut entry, package)?;
                if files.len() >= bounds.files {
                    return Err(refuse(format!("more than {} files", bounds.files)));
                }
                let shown = shown(&path);
                if files.insert(path, bytes).is_some() {
                    return Err(refuse(format!("'{shown}' stands in it twice")));
                }
            }
            _ => return Err(refuse(format!("'{}' is a link or a device", shown(&own)))),
        }
    }
    // To the very end, so that gzip's own checksum is looked at.
    if io::copy(&mut reader, &mut io::sink()).is_err() {
        return Err(Error::unreadable(package, "its end is missing or damaged"));
    }
    if files.is_empty() {
        return Err(Error::unreadable(package, "there are no files in it"));
    }
    Ok(files)
}

fn content(entry: &mut Entry<'_, &mut Counted<MultiGzDecoder<&[u8]>>>, package: &str) -> Result<Vec<u8>, Error> {
    let size = entry.header().size().unwrap_or(0);
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(1 << 20)).unwrap_or(0));
    match entry.read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 == size => Ok(bytes),
        Ok(_) => Err(Error::unreadable(package, "it ends in the middle of a file")),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            Err(Error::unsafe_(package, "it inflates to far more than a package needs"))
        }
        Err(error) => Err(Error::unreadable(package, format!("not a complete .tgz ({})", error.kind()))),
    }
}

/// `LENGTH KEY=VALUE\n` records.
fn pax(bytes: &[u8], ahead: &mut Ahead) -> Result<(), String> {
    let mut rest = bytes;
    while !rest.is_empty() && rest[0] != 0 {
        let bad = || "a PAX header that cannot be read".to_owned();
        let space = rest.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
        let length: usize =
            std::str::from_utf8(&rest[..space]).ok().and_then(|text| text.parse().ok()).ok_or_else(bad)?;
        let record = rest.get(space + 1..length.saturating_sub(1)).ok_or_else(bad)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        // Others' values may be bytes of any kind (macOS writes its file attributes as they are).
        let text = || std::str::from_utf8(value).map_err(|_| bad());
        match key {
            b"path" => ahead.path = Some(text()?.to_owned()),
            b"size" => ahead.size = Some(text()?.parse().map_err(|_| bad())?),
            b"linkpath" => return Err("it holds a link".to_owned()),
            _ => {}
        }
        rest = &rest[length..];
    }
    Ok(())
}

/// The path without `./`, if it stays inside.
fn safe(path: &str) -> Result<String, String> {
    let bad = path.starts_with('/')
        || path.contains(['\\', '\0', ':'])
        || path.chars().any(char::is_control)
        || path.split('/').any(|part| part == "..");
    if bad {
        return Err(format!("'{}' leads out of the package", shown(path)));
    }
    Ok(path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/"))
}

/// A path that may be shown: short, without control characters.
fn shown(path: &str) -> String {
    path.chars().take(120).flat_map(char::escape_default).collect()
}

/// Ends with `FileTooLarge` once more than allowed was read.
struct Counted<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        Ok(count)
    }
}
