//! Search parameters as `rest` needs them. <https://hl7.org/fhir/R4/searchparameter.html>

use crate::fhir::Value;

/// One SearchParameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchParameter {
    /// Canonical URL.
    pub url: String,
    /// The name used in queries: `birthdate`, `_id`.
    pub code: String,
    /// Resource types it applies to (`Resource` and `DomainResource` mean all).
    pub base: Vec<String>,
    /// `number date string token reference composite quantity uri special`.
    pub kind: String,
    /// FHIRPath that selects the values, for all bases at once (`A.x | B.y`); absent for special ones.
    pub expression: Option<String>,
    /// For references: allowed target types.
    pub target: Vec<String>,
    /// For composites: the canonical and the FHIRPath (relative to the composite's) of each part.
    pub components: Vec<(String, String)>,
}

impl SearchParameter {
    /// Reads a SearchParameter resource; `None` if it lacks what every one must have.
    #[must_use]
    pub fn read(resource: &Value) -> Option<Self> {
        let text = |name: &str| resource.get(name).and_then(Value::as_str).map(str::to_owned);
        let list = |name: &str| -> Vec<String> {
            let items = resource.get(name).and_then(Value::as_array);
            items.into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
        };
        let components = resource.get("component").and_then(Value::as_array);
        let part = |part: &Value| {
            Some((part.get("definition")?.as_str()?.to_owned(), part.get("expression")?.as_str()?.to_owned()))
        };
        Some(Self {
            url: text("url")?,
            code: text("code")?,
            base: list("base"),
            kind: text("type")?,
            expression: text("expression"),
            target: list("target"),
            components: components.into_iter().flatten().filter_map(part).collect(),
        })
    }
}
