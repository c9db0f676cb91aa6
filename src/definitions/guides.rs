//! Implementation guides at hand: the profiles that all resources of a type must meet while such a guide is in use.
//! <https://hl7.org/fhir/R4/implementationguide-definitions.html#ImplementationGuide.global>

use std::collections::HashMap;

use super::{Definitions, compile::items, compile::text};

impl Definitions {
    /// Canonicals of the profiles that guides demand of every resource of this type, each once. A profile is meant in the
    /// version that the guide's own package brings.
    #[must_use]
    pub fn globals(&self, resource_type: &str) -> &[String] {
        self.globals.get_or_init(|| self.read_globals()).get(resource_type).map_or(&[], Vec::as_slice)
    }

    fn read_globals(&self) -> HashMap<String, Vec<String>> {
        let mut found: HashMap<String, Vec<String>> = HashMap::new();
        for (layer, pack) in self.packs.iter().enumerate() {
            let guides =
                pack.entries.iter().enumerate().filter(|(_, entry)| entry.resource_type == "ImplementationGuide");
            for (at, _) in guides {
                let Some(guide) = self.value((layer, at)) else { continue };
                for global in items(&guide, "global") {
                    let (Some(of), Some(profile)) = (text(global, "type"), text(global, "profile")) else { continue };
                    let meant = self.find(&profile, "StructureDefinition", Some(layer)).map(|at| self.entry(at));
                    let profile = match meant {
                        Some(entry) if !entry.version.is_empty() => format!("{}|{}", entry.url, entry.version),
                        _ => profile,
                    };
                    let list = found.entry(of).or_default();
                    if !list.contains(&profile) {
                        list.push(profile);
                    }
                }
            }
        }
        found
    }
}
