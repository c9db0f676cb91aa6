//! Mappings: any resource becomes an object of the practice, whatever stands in it.
#![no_main]

use std::sync::{Arc, LazyLock};

use liaison::{
    fhir,
    mapping::{Context, Mappings},
};
use libfuzzer_sys::fuzz_target;

static MAPPINGS: LazyLock<Arc<Mappings>> = LazyLock::new(|| Mappings::embedded().expect("built in"));

fuzz_target!(|bytes: &[u8]| {
    let Ok(resource) = fhir::read(bytes) else { return };
    let context = Context::new("fuzz");
    for plan in MAPPINGS.plans() {
        let _ = plan.to_internal(std::slice::from_ref(&resource), &context);
    }
});
