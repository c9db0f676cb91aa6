//! The JSON reader: an error, or a value that is written and read again the same; places are found for all of it.
#![no_main]

use liaison::fhir::{self, Positions, json::Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = fhir::read(bytes) {
        let written = value.to_string();
        assert_eq!(fhir::read_str(&written).as_ref(), Ok(&value), "what was written is not what was read");
    }
    let _ = Positions::of(bytes, Limits { comments: true, ..Limits::default() }).find("/a/0/b");
});
