//! The keys of FHIR's own invariants: a profile must not give one of them another meaning.
//! <https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.constraint.key>

use std::collections::HashMap;

use super::{Definitions, compile, pack::Entry, store::TYPES};

impl Definitions {
    /// The expressions of FHIR's own rules, by key. Read when first asked for.
    pub fn rules(&self) -> &HashMap<String, Vec<String>> {
        self.rules.get_or_init(|| {
            let mut rules: HashMap<String, Vec<String>> = HashMap::new();
            let pack = self.packs.first().map_or(&[] as &[Entry], |pack| pack.entries.as_slice());
            for (at, entry) in pack.iter().enumerate() {
                let is_type = entry.url.strip_prefix(TYPES).is_some_and(|name| !name.contains('-'));
                let structure = if is_type { self.value((0, at)) } else { None };
                let elements = structure.as_ref().and_then(|it| it.pointer("/snapshot/element")?.as_array());
                for rule in elements.into_iter().flatten().flat_map(|element| compile::items(element, "constraint")) {
                    let (Some(key), expression) = (compile::text(rule, "key"), compile::text(rule, "expression"))
                    else {
                        continue;
                    };
                    let known = rules.entry(key).or_default();
                    if let Some(expression) = expression.filter(|expression| !known.contains(expression)) {
                        known.push(expression);
                    }
                }
            }
            rules
        })
    }
}
