//! Packages: any bytes are a package or are refused, within bounds of memory; what is a package becomes definitions. Bytes that no gzip
//! begins with are packed first, as an archive and as the only resource of one: chance finds no checksums.
#![no_main]

use std::{io::Write, sync::Arc};

use flate2::{Compression, write::GzEncoder};
use liaison::definitions::{Definitions, Pack, Package};
use libfuzzer_sys::fuzz_target;

const GZIP: &[u8] = &[0x1f, 0x8b];

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut made = GzEncoder::new(Vec::new(), Compression::fast());
    made.write_all(bytes).expect("in memory");
    made.finish().expect("in memory")
}

/// A package whose one resource these bytes are.
fn around(resource: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let manifest = br#"{"name":"fuzz","version":"1.0.0","fhirVersions":["4.0.1"]}"#;
    for (name, bytes) in [("package/package.json", &manifest[..]), ("package/Made-x.json", resource)] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes).expect("in memory");
    }
    gzipped(&archive.into_inner().expect("in memory"))
}

fn opened(archive: &[u8]) {
    if let Ok(package) = Package::tgz("fuzz", archive)
        && let Ok(pack) = Pack::open(package.pack().0)
    {
        let _ = Definitions::with_packages([Arc::new(pack)]);
    }
}

fuzz_target!(|bytes: &[u8]| {
    if bytes.starts_with(GZIP) {
        opened(bytes);
    } else {
        opened(&gzipped(bytes));
        opened(&around(bytes));
    }
    // A pack that was kept on disk may be damaged there.
    let _ = Pack::open(bytes.to_vec());
});
