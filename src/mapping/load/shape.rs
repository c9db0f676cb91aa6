//! What FHIR says about a path while a mapping is compiled: which elements there are, which are lists, which primitive,
//! which choices. A thin cursor over `definitions`; never used while a mapping runs.

use std::sync::Arc;

use crate::definitions::{Definitions, Structure};

/// A place in FHIR's types.
#[derive(Clone)]
pub(crate) struct Shape {
    definitions: Arc<Definitions>,
    structure: Arc<Structure>,
    at: usize,
    /// FHIR type of the element: `Patient`, `BackboneElement`, `code`.
    pub(crate) type_name: String,
    /// Whether JSON has an array here.
    pub(crate) list: bool,
    /// Other JSON names of the same choice: `valueString` for `valueQuantity`.
    pub(crate) siblings: Vec<String>,
    /// Types that a Reference may point to.
    pub(crate) targets: Vec<String>,
}

impl Shape {
    /// The root of a type.
    pub(crate) fn of_type(definitions: &Arc<Definitions>, name: &str) -> Option<Self> {
        let structure = definitions.base_type(name)?;
        Some(Self {
            definitions: Arc::clone(definitions),
            type_name: structure.type_name.clone(),
            structure,
            at: 0,
            list: false,
            siblings: Vec::new(),
            targets: Vec::new(),
        })
    }

    /// Where the element's children are described: here, at the referred element, or in the type.
    fn home(&self) -> Option<(Arc<Structure>, usize)> {
        let element = self.structure.elements.get(self.at)?;
        if let Some(id) = &element.content_reference {
            return Some((Arc::clone(&self.structure), self.structure.index_of(id)?));
        }
        if !self.structure.children(self.at).is_empty() {
            return Some((Arc::clone(&self.structure), self.at));
        }
        let structure = self.definitions.base_type(&self.type_name)?;
        Some((structure, 0))
    }

    /// Whether this is a primitive: its `id` and `extension` stand under `_name`.
    pub(crate) fn is_primitive(&self) -> bool {
        self.type_name.starts_with(char::is_lowercase) && self.type_name != "xhtml"
    }

    /// A child by its JSON name (`valueQuantity`).
    pub(crate) fn child(&self, name: &str) -> Option<Self> {
        let (structure, home) = self.home()?;
        for at in structure.children(home) {
            let element = &structure.elements[*at];
            let shape = |type_name: &str, siblings| Self {
                definitions: Arc::clone(&self.definitions),
                structure: Arc::clone(&structure),
                at: *at,
                type_name: type_name.to_owned(),
                list: element.is_list(),
                siblings,
                targets: element
                    .types
                    .iter()
                    .flat_map(|kind| &kind.target_profiles)
                    .filter_map(|profile| profile.rsplit('/').next().map(str::to_owned))
                    .collect(),
            };
            match element.choice() {
                Some(choice) => {
                    let names: Vec<(String, &str)> = element
                        .types
                        .iter()
                        .map(|kind| (choice_name(choice, &kind.code), kind.code.as_str()))
                        .collect();
                    if let Some((_, code)) = names.iter().find(|(own, _)| own == name) {
                        let siblings = names.iter().filter(|(other, _)| other != name).map(|(other, _)| other.clone());
                        return Some(shape(code, siblings.collect()));
                    }
                }
                None if element.name() == name => {
                    let code = element.types.first().map_or("BackboneElement", |kind| kind.code.as_str());
                    return Some(shape(code, Vec::new()));
                }
                None => {}
            }
        }
        None
    }

    /// JSON names of all children.
    pub(crate) fn children(&self) -> Vec<String> {
        let Some((structure, home)) = self.home() else { return Vec::new() };
        let elements = structure.children(home).iter().map(|at| &structure.elements[*at]);
        elements
            .flat_map(|element| match element.choice() {
                Some(choice) => element.types.iter().map(|kind| choice_name(choice, &kind.code)).collect(),
                None => vec![element.name().to_owned()],
            })
            .collect()
    }
}

fn choice_name(choice: &str, code: &str) -> String {
    let mut letters = code.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    choice.chars().chain(first).chain(letters).collect()
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shape({}{})", self.type_name, if self.list { "*" } else { "" })
    }
}
