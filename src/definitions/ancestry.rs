//! What a definition derives from, step by step, and whether that leads back to where it came from. Definitions of FHIR
//! itself are trusted to end. <https://hl7.org/fhir/R4/structuredefinition-definitions.html#StructureDefinition.baseDefinition>

use serde_json::Value;

use super::{Definitions, Structure, versions};

/// Steps that are followed. Real chains have a handful.
const MOST: usize = 64;

impl Definitions {
    /// The circle that a structure's bases run in: the canonicals from the structure itself to where it closes.
    #[must_use]
    pub fn circle(&self, of: &Structure) -> Option<Vec<String>> {
        let from = (of.layer > 0).then_some(of.layer);
        self.circle_from((&of.url, of.version.as_deref()), of.base.as_deref()?, from)
    }

    /// The same for a definition that is not (yet) among those at hand.
    #[must_use]
    pub fn circle_of(&self, resource: &Value) -> Option<Vec<String>> {
        let text = |name: &str| resource.get(name).and_then(Value::as_str);
        let url = text("url")?;
        let own = self.find(url, "StructureDefinition", None).map(|at| at.0).filter(|layer| *layer > 0);
        self.circle_from((url, text("version")), text("baseDefinition")?, own)
    }

    fn circle_from(&self, own: (&str, Option<&str>), base: &str, from: Option<usize>) -> Option<Vec<String>> {
        let mut chain = vec![own.0.to_owned()];
        let mut seen = Vec::new();
        let (mut base, mut from) = (base.to_owned(), from);
        while chain.len() < MOST {
            let (url, version) = versions::split(&base);
            chain.push(url.to_owned());
            let is_own = url == own.0 && version.is_none_or(|asked| own.1.is_none_or(|own| versions::fits(own, asked)));
            if is_own {
                return Some(chain);
            }
            let at = self.find(&base, "StructureDefinition", from).filter(|at| at.0 > 0)?;
            if seen.contains(&at) {
                return Some(chain);
            }
            seen.push(at);
            let next = self.value(at)?.get("baseDefinition")?.as_str()?.to_owned();
            (base, from) = (next, Some(at.0));
        }
        None
    }
}
