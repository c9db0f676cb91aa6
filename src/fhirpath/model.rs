//! What FHIRPath must know of FHIR's types. `profile` implements `Model` over the definitions; `Inferred` makes do with
//! names and the JSON's shape.

use super::types::{Kind, Type};

/// One alternative of a choice element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The JSON property, for example `valueQuantity`.
    pub key: Box<str>,
    /// Its type.
    pub ty: Type,
}

/// What a type says about a child name.
#[derive(Clone, Copy, Debug)]
pub enum Child<'m> {
    /// An ordinary element of this type.
    Element(Type),
    /// A choice element (`value`): its alternatives.
    Choice(&'m [Choice]),
    /// The type is known and has no such element.
    Absent,
    /// The type is not known; the JSON decides.
    Unknown,
}

/// Types of paths. Numbers in `Type` are the implementor's; the same type must always have the same number. Lookups are
/// on the hot path: make them a hash lookup.
pub trait Model: Send + Sync {
    /// A type by FHIR name (`Patient`, `code`, `BackboneElement`); not System types.
    fn named(&self, name: &str) -> Option<Type>;
    /// The FHIR name of a type; for a path inside a type (`Patient.contact`) its declared type (`BackboneElement`).
    fn name(&self, of: Type) -> &str;
    /// Whether `of` is `ancestor` or derives from it (`code` is a `string`, `Patient` a `DomainResource`).
    fn is_a(&self, of: Type, ancestor: Type) -> bool;
    /// The child `name` (FHIRPath's name: `value`, not `valueQuantity`) of a type.
    fn child(&self, of: Type, name: &str) -> Child<'_>;
    /// The type of the JSON property `key` (`valueQuantity`, `given`) of a type; for `children()`.
    fn property(&self, of: Type, key: &str) -> Type {
        match self.child(of, key) {
            Child::Element(ty) => return ty,
            Child::Unknown => return Type::UNKNOWN,
            Child::Choice(_) | Child::Absent => {}
        }
        for (at, _) in key.char_indices().filter(|(at, letter)| *at > 0 && letter.is_ascii_uppercase()) {
            if let Child::Choice(choices) = self.child(of, &key[..at])
                && let Some(choice) = choices.iter().find(|choice| &*choice.key == key)
            {
                return choice.ty;
            }
        }
        Type::UNKNOWN
    }
}

/// No definitions: data types by name, resources by `resourceType`, choices by the suffix of the JSON property, the rest
/// by shape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inferred;

const NAMES: &[&str] = &[
    "Element",
    "BackboneElement",
    "boolean",
    "integer",
    "positiveInt",
    "unsignedInt",
    "decimal",
    "date",
    "dateTime",
    "instant",
    "time",
    "string",
    "code",
    "id",
    "markdown",
    "uri",
    "url",
    "canonical",
    "oid",
    "uuid",
    "base64Binary",
    "xhtml",
    "Quantity",
    "Age",
    "Duration",
    "Count",
    "Distance",
    "Address",
    "Annotation",
    "Attachment",
    "CodeableConcept",
    "Coding",
    "ContactDetail",
    "ContactPoint",
    "Contributor",
    "DataRequirement",
    "Dosage",
    "ElementDefinition",
    "Expression",
    "Extension",
    "HumanName",
    "Identifier",
    "MarketingStatus",
    "Meta",
    "Money",
    "Narrative",
    "ParameterDefinition",
    "Period",
    "Population",
    "ProdCharacteristic",
    "ProductShelfLife",
    "Range",
    "Ratio",
    "Reference",
    "RelatedArtifact",
    "SampledData",
    "Signature",
    "SubstanceAmount",
    "Timing",
    "TriggerDefinition",
    "UsageContext",
];

impl Model for Inferred {
    fn named(&self, name: &str) -> Option<Type> {
        let id = u32::try_from(NAMES.iter().position(|known| *known == name)?).ok()?;
        Some(Type { id, kind: Kind::of_data_type(name)? })
    }

    fn name(&self, of: Type) -> &str {
        usize::try_from(of.id).ok().and_then(|at| NAMES.get(at)).copied().unwrap_or("")
    }

    fn is_a(&self, of: Type, ancestor: Type) -> bool {
        if of == ancestor {
            return !of.is_unknown();
        }
        match self.name(ancestor) {
            "Element" => !of.is_unknown(),
            "BackboneElement" => matches!(self.name(of), "Dosage" | "Timing" | "ElementDefinition"),
            "string" => matches!(self.name(of), "code" | "id" | "markdown"),
            "uri" => matches!(self.name(of), "url" | "canonical" | "oid" | "uuid"),
            "integer" => matches!(self.name(of), "positiveInt" | "unsignedInt"),
            "Quantity" => of.kind == Kind::Quantity,
            _ => false,
        }
    }

    fn child(&self, _: Type, _: &str) -> Child<'_> {
        Child::Unknown
    }
}
