//! Narratives: any text is judged; what is judged safe holds no script.
#![no_main]

use liaison::fhir::xhtml;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = xhtml::read(text);
    if xhtml::is_safe(text) {
        let lower = text.to_ascii_lowercase();
        assert!(
            !lower.contains("<script") || lower.contains("<!--") || lower.contains("<![cdata["),
            "a script is safe?"
        );
    }
});
