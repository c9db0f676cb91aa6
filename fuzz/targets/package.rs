//! Packages: any bytes are a package or are refused, within bounds of memory; what is a package becomes definitions.
#![no_main]

use std::sync::Arc;

use liaison::definitions::{Definitions, Pack, Package};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(package) = Package::tgz("fuzz", bytes)
        && let Ok(pack) = Pack::open(package.pack().0)
    {
        let _ = Definitions::with_packages([Arc::new(pack)]);
    }
    // A pack that was kept on disk may be damaged there.
    let _ = Pack::open(bytes.to_vec());
});
