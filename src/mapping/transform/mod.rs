//! How one internal value becomes one FHIR element and back: one file a family of transforms.

pub(crate) mod attachment;
