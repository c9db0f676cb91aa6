//! Makes the core pack from the genuine `hl7.fhir.r4.core` package: the constraints of R4, errata applied, without
//! the prose; byte for byte the same every time.

use super::{
    Error, Package,
    errata::{self, Erratum},
    pack::Builder,
    slim::slim,
};
use crate::fhir::{Value, resource_type};

/// What of the core package goes into the pack.
const KEPT: [&str; 7] = [
    "StructureDefinition",
    "ValueSet",
    "CodeSystem",
    "SearchParameter",
    "CompartmentDefinition",
    "OperationDefinition",
    "ConceptMap",
];

/// A core pack and what was done to make it.
pub struct CorePack {
    /// The pack's bytes.
    pub bytes: Vec<u8>,
    /// Definitions in it.
    pub definitions: usize,
    /// All errata, with the number of places that had them.
    pub errata: Vec<Erratum>,
}

/// Makes the pack.
///
/// # Errors
/// [`Error::Unreadable`] if a file of the package cannot be read, if an erratum finds nothing to mend, or if the
/// package is not `hl7.fhir.r4.core` 4.0.1.
pub fn core_pack(package: &Package, mut errata: Vec<Erratum>) -> Result<CorePack, Error> {
    let label = package.label();
    if label != "hl7.fhir.r4.core#4.0.1" {
        return Err(Error::unreadable(&label, "the core pack is made from hl7.fhir.r4.core#4.0.1"));
    }
    let mut builder = Builder::tight(&label);
    let (mut definitions, mut warnings) = (0, Vec::new());
    package.each_resource(&mut warnings, |mut resource: Value| {
        if resource_type(&resource).is_some_and(|of| KEPT.contains(&of)) {
            errata::apply(&mut errata, &mut resource);
            definitions += usize::from(builder.add(&slim(&resource)));
        }
    });
    if let Some(warning) = warnings.first() {
        return Err(Error::unreadable(&label, warning.clone()));
    }
    if let Some(idle) = errata.iter().find(|erratum| erratum.places == 0) {
        return Err(Error::unreadable("errata.toml", format!("erratum '{}' finds nothing to mend", idle.id)));
    }
    Ok(CorePack { bytes: builder.build(), definitions, errata })
}
