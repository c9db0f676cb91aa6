//! What a definition means by the canonicals it names: bases and types of profiles, code systems and imports of value
//! sets. The package that names them decides which version is meant.

use std::sync::Arc;

use super::{
    Definitions, snapshot,
    store::{At, TYPES},
    terminology::{CodeSystem, Source, ValueSet, Why},
};
use crate::fhir::Value;

/// What a value set of the pack `layer` means by canonicals.
pub(super) struct Within<'a> {
    pub(super) definitions: &'a Definitions,
    pub(super) layer: Option<usize>,
}

impl Source for Within<'_> {
    fn code_system(&self, canonical: &str) -> Option<Arc<CodeSystem>> {
        let at = self.definitions.find(canonical, "CodeSystem", self.layer)?;
        self.definitions.code_system_at(at)
    }

    fn value_set(&self, canonical: &str, open: &[String]) -> Result<Arc<ValueSet>, Why> {
        self.definitions.value_set_within(canonical, self.layer, open)
    }
}

/// What a profile of the pack `layer` derives from; `open` are those whose snapshots are being generated around it.
pub(super) struct Bases<'a> {
    pub(super) definitions: &'a Definitions,
    pub(super) layer: usize,
    pub(super) open: Vec<At>,
}

impl snapshot::Bases for Bases<'_> {
    fn snapshot(&mut self, canonical: &str) -> Option<Vec<Value>> {
        let canonical = if canonical.contains('/') { canonical.to_owned() } else { format!("{TYPES}{canonical}") };
        let at = self.definitions.find(&canonical, "StructureDefinition", Some(self.layer))?;
        let mut resource = self.definitions.value(at)?;
        if let Some(Value::Array(elements)) = resource.pointer_mut("/snapshot/element").map(Value::take)
            && !elements.is_empty()
        {
            return Some(elements);
        }
        if self.open.contains(&at) {
            return None;
        }
        let open = [self.open.as_slice(), &[at]].concat();
        let mut bases = Bases { definitions: self.definitions, layer: at.0, open };
        Some(snapshot::generate(&resource, &mut bases).elements)
    }
}
