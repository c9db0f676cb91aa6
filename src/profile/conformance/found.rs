//! Finding the element definition that a path leads to: through a structure, through data types and their profiles.

use std::sync::Arc;

use crate::{
    definitions::{Definitions, Element, Structure},
    profile::types::Types,
};

/// An element of a structure.
#[derive(Clone)]
pub struct Found {
    /// Whose.
    pub structure: Arc<Structure>,
    /// Which.
    pub at: usize,
}

impl Found {
    /// The root of a structure.
    pub fn root(structure: Arc<Structure>) -> Option<Self> {
        (!structure.elements.is_empty()).then_some(Self { structure, at: 0 })
    }

    /// The element.
    pub fn element(&self) -> &Element {
        &self.structure.elements[self.at]
    }

    /// What may stand where anything may: resources of any type.
    pub fn is_open(&self) -> bool {
        let open = |code: &str| matches!(code, "Resource" | "DomainResource" | "*");
        self.element().types.iter().any(|ty| open(&ty.code) && ty.profiles.is_empty())
    }

    /// The child `name`, in the structure itself or in a type of the element.
    pub fn child(&self, definitions: &Definitions, name: &str) -> Option<Self> {
        if let Some(found) = Self::named(&self.structure, self.at, name) {
            return Some(found);
        }
        let element = self.element();
        if let Some(reference) = &element.content_reference {
            let at = self.structure.index_of(reference.rsplit('#').next()?)?;
            return Self::named(&self.structure, at, name);
        }
        element.types.iter().find_map(|ty| {
            let profile = ty.profiles.first().and_then(|url| definitions.structure(url));
            let inner = profile.or_else(|| definitions.base_type(&ty.code))?;
            Self::named(&inner, 0, name)
        })
    }

    fn named(structure: &Arc<Structure>, at: usize, name: &str) -> Option<Self> {
        let fits = |child: &&usize| {
            let element = &structure.elements[**child];
            let chosen = element.choice().is_some_and(|choice| {
                name.strip_prefix(choice).is_some_and(|rest| {
                    matches!(rest, "" | "[x]")
                        || element.types.iter().any(|ty| ty.code.eq_ignore_ascii_case(rest) || ty.code == "*")
                })
            });
            element.name() == name || chosen
        };
        structure.children(at).iter().find(fits).map(|at| Self { structure: Arc::clone(structure), at: *at })
    }

    /// The element that a path of plain names leads to (`Patient.contact.name`); slices are left out.
    pub fn path(types: &Types, path: &str) -> Option<Self> {
        let mut parts = path.split('.').map(|part| part.split(':').next().unwrap_or(part));
        let root = Self::root(types.definitions.base_type(parts.next()?)?)?;
        parts.try_fold(root, |found, part| found.child(&types.definitions, part))
    }
}

/// Whether a data type or resource is `ancestor` or derives from it.
pub fn derives(definitions: &Definitions, name: &str, ancestor: &str) -> bool {
    let mut name = name.to_owned();
    for _ in 0..16 {
        if name == ancestor {
            return true;
        }
        let Some(base) = definitions.base_type(&name).and_then(|structure| structure.base.clone()) else {
            return false;
        };
        match definitions.structure(&base) {
            Some(structure) if structure.type_name != name => name.clone_from(&structure.type_name),
            _ => return false,
        }
    }
    false
}
