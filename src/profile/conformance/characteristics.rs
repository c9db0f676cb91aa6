//! What may be demanded of a type's values: codes, lengths, ranges, targets.
//! <https://hl7.org/fhir/R4/elementdefinition.html>; who has which: the lists there and at
//! <https://hl7.org/fhir/R4/terminologies.html#4.1.1>.

/// Something that not every type has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Has {
    /// Codes that can be bound.
    Codes,
    /// A length of text.
    Length,
    /// An order, so that there is a least and a most.
    Range,
    /// A target that can be asked to be of a profile.
    Target,
}

/// Whether a type has it; none where the type is not known here.
pub fn has(code: &str, what: Has) -> Option<bool> {
    let all: &[Has] = match code {
        "integer" | "decimal" | "instant" | "date" | "dateTime" | "time" | "positiveInt" | "unsignedInt" => {
            &[Has::Range, Has::Length]
        }
        "string" | "uri" | "code" | "oid" | "url" | "uuid" => &[Has::Length, Has::Codes],
        "id" | "markdown" => &[Has::Length],
        "canonical" => &[Has::Target, Has::Length],
        "Age" | "Distance" | "Duration" | "Quantity" | "MoneyQuantity" | "SimpleQuantity" => &[Has::Range, Has::Codes],
        "Count" | "Money" => &[Has::Range],
        "Range" | "Coding" | "CodeableConcept" | "Extension" => &[Has::Codes],
        "Reference" => &[Has::Target],
        "CodeableReference" => &[Has::Target, Has::Codes],
        "boolean"
        | "base64Binary"
        | "xhtml"
        | "Address"
        | "Annotation"
        | "Attachment"
        | "ContactPoint"
        | "HumanName"
        | "Identifier"
        | "Period"
        | "Ratio"
        | "SampledData"
        | "Signature"
        | "Timing"
        | "ContactDetail"
        | "Contributor"
        | "DataRequirement"
        | "Expression"
        | "ParameterDefinition"
        | "RelatedArtifact"
        | "TriggerDefinition"
        | "UsageContext"
        | "Dosage"
        | "Meta"
        | "Narrative"
        | "BackboneElement"
        | "Element"
        | "ElementDefinition" => &[],
        _ => return None,
    };
    Some(all.contains(&what))
}
