//! The places of a resource with what its definition says of them, so that damage can be done where it means something.

use std::sync::Arc;

use liaison::{
    definitions::{Definitions, Element, Strength, Structure},
    fhir::Value,
};

/// One value: an item of a list, or what a member holds.
#[derive(Clone, Debug)]
pub struct Spot {
    /// JSON pointer of the object that holds it.
    pub owner: String,
    /// JSON property.
    pub key: String,
    /// Index in its list.
    pub index: Option<usize>,
    /// FHIR type.
    pub code: String,
    /// Path of its definition (`HumanName.family`).
    pub path: String,
    /// Fewest.
    pub min: u32,
    /// For a choice: its name and the types it allows.
    pub choice: Option<(String, Vec<String>)>,
    /// Bound to a value set that must be used.
    pub required: bool,
}

impl Spot {
    /// JSON pointer of the member.
    pub fn member(&self) -> String {
        format!("{}/{}", self.owner, self.key)
    }

    /// JSON pointer of the value.
    pub fn pointer(&self) -> String {
        self.index.map_or_else(|| self.member(), |index| format!("{}/{index}", self.member()))
    }
}

struct Walk<'d> {
    definitions: &'d Definitions,
    found: Vec<Spot>,
}

/// All places of a resource, contained ones and entries among them.
pub fn of(definitions: &Definitions, resource: &Value) -> Vec<Spot> {
    let mut walk = Walk { definitions, found: Vec::new() };
    walk.resource(resource, "");
    walk.found
}

/// The JSON property of an element, or of its choice.
fn property(element: &Element, key: &str) -> Option<String> {
    let Some(stem) = element.choice() else { return (element.name() == key).then(|| of_element(element)) };
    let suffix = key.strip_prefix(stem)?;
    let fits = |code: &&String| code.eq_ignore_ascii_case(suffix);
    element.types.iter().map(|of| &of.code).find(fits).cloned()
}

fn of_element(element: &Element) -> String {
    element.types.first().map_or_else(|| "BackboneElement".to_owned(), |of| of.code.clone())
}

impl Walk<'_> {
    fn resource(&mut self, value: &Value, pointer: &str) {
        let Some(kind) = value["resourceType"].as_str() else { return };
        if let Some(structure) = self.definitions.base_type(kind) {
            self.object(&structure, 0, value, pointer);
        }
    }

    fn object(&mut self, structure: &Arc<Structure>, at: usize, value: &Value, pointer: &str) {
        for (key, value) in value.as_object().into_iter().flatten() {
            let child = structure.children(at).iter().find_map(|child| {
                let element = &structure.elements[*child];
                Some((*child, element, property(element, key)?))
            });
            let Some((child, element, code)) = child else { continue };
            let items: Vec<&Value> = value.as_array().map_or_else(|| vec![value], |items| items.iter().collect());
            for (index, item) in items.iter().enumerate() {
                let strength = element.binding.as_ref().map(|binding| binding.strength);
                let spot = Spot {
                    owner: pointer.to_owned(),
                    key: key.clone(),
                    index: value.is_array().then_some(index),
                    code: code.clone(),
                    path: element.path.clone(),
                    min: element.min,
                    choice: element
                        .choice()
                        .map(|stem| (stem.to_owned(), element.types.iter().map(|of| of.code.clone()).collect())),
                    required: strength == Some(Strength::Required),
                };
                let at = spot.pointer();
                self.found.push(spot);
                self.content(structure, child, element, &code, item, &at);
            }
        }
    }

    fn content(
        &mut self,
        structure: &Arc<Structure>,
        at: usize,
        element: &Element,
        code: &str,
        item: &Value,
        to: &str,
    ) {
        if !item.is_object() {
            return;
        }
        if let Some(reference) = &element.content_reference {
            if let Some(meant) = structure.index_of(reference) {
                self.object(structure, meant, item, to);
            }
        } else if code == "Resource" {
            self.resource(item, to);
        } else if !structure.children(at).is_empty() {
            self.object(structure, at, item, to);
        } else if let Some(inner) = self.definitions.base_type(code) {
            self.object(&inner, 0, item, to);
        }
    }
}
