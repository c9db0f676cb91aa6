//! Handles for types. A `Type` is small and `Copy`; what its number means is the `Model`'s affair, what kind of value it
//! holds is ours.

/// How values of a type behave in operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Not known: judged by the JSON's shape.
    Unknown,
    /// An element with children.
    Complex,
    /// A Quantity or one of its specialisations (Age, Duration, Count, Distance).
    Quantity,
    /// A resource, or the abstract Resource/DomainResource (then `resourceType` decides).
    Resource,
    /// `boolean`.
    Boolean,
    /// `string` and all that derive from it or behave alike (code, uri, id, markdown, base64Binary, xhtml …).
    String,
    /// `integer`, `positiveInt`, `unsignedInt`.
    Integer,
    /// `decimal`.
    Decimal,
    /// `date`.
    Date,
    /// `dateTime` and `instant`.
    DateTime,
    /// `time`.
    Time,
}

impl Kind {
    /// Whether values are JSON scalars that may have a `_sibling`.
    #[must_use]
    pub fn is_primitive(self) -> bool {
        !matches!(self, Self::Unknown | Self::Complex | Self::Quantity | Self::Resource)
    }

    /// The kind of a FHIR type by its name; `Resource` cannot be told from `Complex` by name alone.
    #[must_use]
    pub fn of_data_type(name: &str) -> Option<Self> {
        Some(match name {
            "boolean" => Self::Boolean,
            "integer" | "positiveInt" | "unsignedInt" => Self::Integer,
            "decimal" => Self::Decimal,
            "date" => Self::Date,
            "dateTime" | "instant" => Self::DateTime,
            "time" => Self::Time,
            "string" | "code" | "id" | "markdown" | "uri" | "url" | "canonical" | "oid" | "uuid" | "base64Binary"
            | "xhtml" => Self::String,
            "Quantity" | "Age" | "Duration" | "Count" | "Distance" | "SimpleQuantity" | "MoneyQuantity" => {
                Self::Quantity
            }
            "Address"
            | "Annotation"
            | "Attachment"
            | "BackboneElement"
            | "CodeableConcept"
            | "Coding"
            | "ContactDetail"
            | "ContactPoint"
            | "Contributor"
            | "DataRequirement"
            | "Dosage"
            | "Element"
            | "ElementDefinition"
            | "Expression"
            | "Extension"
            | "HumanName"
            | "Identifier"
            | "MarketingStatus"
            | "Meta"
            | "Money"
            | "Narrative"
            | "ParameterDefinition"
            | "Period"
            | "Population"
            | "ProdCharacteristic"
            | "ProductShelfLife"
            | "Range"
            | "Ratio"
            | "Reference"
            | "RelatedArtifact"
            | "SampledData"
            | "Signature"
            | "SubstanceAmount"
            | "Timing"
            | "TriggerDefinition"
            | "UsageContext" => Self::Complex,
            _ => return None,
        })
    }
}

/// A FHIR type, or a path inside one (`Patient.contact`): a number of the `Model`, and the kind of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// The model's number.
    pub id: u32,
    /// How its values behave.
    pub kind: Kind,
}

impl Type {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { id: u32::MAX, kind: Kind::Unknown };

    /// Whether nothing is known.
    #[must_use]
    pub fn is_unknown(self) -> bool {
        self.id == u32::MAX
    }
}
