//! Compiles the structure of a type into the tables that the walk uses. Refuses nothing: what it cannot compile is
//! listed in `TypePlan::problems` and reported with every resource of that type.

use std::{collections::HashMap, sync::Arc};

use super::{
    binding::Bound,
    invariant::Invariant,
    primitive::Primitive,
    types::{Alternative, Element, Key, ModelChild, Node, Special, TypePlan, Types},
};
use crate::{
    definitions::{Structure, TypeRef},
    fhirpath::{Choice, Kind, Type},
};

/// Makes the plan of a type.
pub fn compile(types: &Types, structure: Arc<Structure>) -> TypePlan {
    let slot = types.slot(&structure.type_name).unwrap_or(0);
    let mut maker =
        Maker { types, structure: &structure, slot, nodes: HashMap::new(), problems: structure.problems.clone() };
    let with_children: Vec<usize> =
        (0..structure.elements.len()).filter(|at| *at == 0 || !structure.children(*at).is_empty()).collect();
    for (number, at) in with_children.iter().enumerate() {
        maker.nodes.insert(*at, u32::try_from(number).unwrap_or(u32::MAX));
    }
    let nodes: Vec<Node> = with_children.iter().map(|at| maker.node(*at)).collect();
    let problems = maker.problems;
    let mut ancestors = vec![slot];
    let mut base = structure.base.clone();
    while let Some(url) = base {
        let Some(parent) = types.definitions.structure(&url) else { break };
        ancestors.extend(types.slot(&parent.type_name));
        base = parent.base.clone();
        if ancestors.len() > 16 {
            break;
        }
    }
    let paths = with_children.iter().map(|at| structure.elements[*at].path.clone()).collect();
    let is_domain = types.slot("DomainResource").is_some_and(|domain| ancestors.contains(&domain));
    let is_canonical = ["url", "status", "publisher"]
        .iter()
        .all(|name| nodes.first().is_some_and(|root| root.keys.contains_key(*name)));
    TypePlan { is_domain, is_canonical, nodes, paths, ancestors, problems, structure }
}

struct Maker<'m> {
    types: &'m Types,
    structure: &'m Arc<Structure>,
    slot: u32,
    /// Element index → node number.
    nodes: HashMap<usize, u32>,
    problems: Vec<String>,
}

impl Maker<'_> {
    fn own(&self, number: u32, kind: Kind) -> Type {
        Type { id: (self.slot << 16) | number, kind }
    }

    fn node(&mut self, at: usize) -> Node {
        let definition = &self.structure.elements[at];
        let number = self.nodes.get(&at).copied().unwrap_or(0);
        let (declared, ty) = if at == 0 {
            (self.structure.type_name.clone(), self.types.root(&self.structure.type_name))
        } else {
            let declared = definition.types.first().map_or("BackboneElement", |ty| &ty.code).to_owned();
            (declared, self.own(number, Kind::Complex))
        };
        let elements: Vec<Element> =
            self.structure.children(at).to_vec().into_iter().map(|child| self.element(child)).collect();
        let mut keys = super::types::Names::default();
        let mut model = super::types::Names::default();
        for (index, element) in elements.iter().enumerate() {
            for (alternative, ty) in element.types.iter().enumerate() {
                let key = Key { element: small(index), alternative: small(alternative), underscore: false };
                keys.insert(ty.key.clone(), key);
                if ty.primitive.is_some() && &*ty.code != "xhtml" {
                    keys.insert(ty.underscore.clone(), Key { underscore: true, ..key });
                }
            }
            let child = if element.choice {
                let choices = element.types.iter().map(|ty| Choice { key: ty.key.clone(), ty: ty.ty });
                ModelChild::Many(choices.collect())
            } else {
                ModelChild::One(element.types.first().map_or(Type::UNKNOWN, |ty| ty.ty))
            };
            model.insert(element.name.clone(), child);
        }
        let required = (0..elements.len()).filter(|at| elements[*at].min > 0).map(small).collect();
        let plain = |name: &str| elements.iter().any(|element| &*element.name == name && !element.choice);
        let invariants = self.invariants(at, &plain);
        let by_name = elements.iter().enumerate().map(|(at, element)| (element.name.clone(), small(at))).collect();
        Node { ty, declared: declared.into(), keys, by_name, elements, required, invariants, model }
    }

    fn invariants(&mut self, at: usize, plain: &dyn Fn(&str) -> bool) -> Vec<Invariant> {
        let mut made = Vec::new();
        for constraint in &self.structure.elements[at].constraints {
            match Invariant::compile(constraint, plain) {
                Ok(invariant) => made.extend(invariant),
                Err(problem) => self.problems.push(problem),
            }
        }
        made
    }

    fn element(&mut self, at: usize) -> Element {
        let definition = &self.structure.elements[at];
        let name = definition.choice().unwrap_or_else(|| definition.name());
        let choice = definition.choice().is_some();
        let types = match &definition.content_reference {
            Some(reference) => vec![self.content(name, reference)],
            None => definition.types.iter().map(|ty| self.alternative(at, name, choice, ty)).collect(),
        };
        // Those of backbone elements are run once, by their node.
        let invariants = if self.nodes.contains_key(&at) { Vec::new() } else { self.invariants(at, &|_| false) };
        Element {
            name: name.into(),
            path: definition.path.as_str().into(),
            min: definition.min,
            max: definition.max,
            list: definition.is_list(),
            choice,
            types,
            binding: definition.binding.as_ref().and_then(|binding| Bound::new(binding, None)),
            invariants,
        }
    }

    fn content(&mut self, name: &str, reference: &str) -> Alternative {
        let target = reference.rsplit('#').next().unwrap_or(reference);
        let node = self.structure.index_of(target).and_then(|at| self.nodes.get(&at).copied());
        if node.is_none() {
            self.problems.push(format!("the content reference '{reference}' of {name} leads nowhere"));
        }
        let ty = node.map_or(Type::UNKNOWN, |number| self.own(number, Kind::Complex));
        Alternative {
            special: Special::None,
            code: "BackboneElement".into(),
            key: name.into(),
            underscore: format!("_{name}").into(),
            ty,
            primitive: None,
            profiles: Vec::new(),
            targets: Vec::new(),
        }
    }

    fn alternative(&self, at: usize, name: &str, choice: bool, ty: &TypeRef) -> Alternative {
        let system = ty.code.strip_prefix("http://hl7.org/fhirpath/System.").map(system_name);
        let code = system.unwrap_or(&ty.code);
        let own = self.nodes.get(&at).map(|number| self.own(*number, Kind::Complex));
        // The snapshots say "string" of ids, whose own rule stands in the prose of Resource.id.
        let is_id = self.structure.elements[at].base_path == "Resource.id";
        let primitive = if is_id { Some(Primitive::Id) } else { Primitive::named(code) };
        let key = if choice { format!("{name}{}", capital(code)) } else { name.to_owned() };
        Alternative {
            special: Special::of(code),
            code: code.into(),
            underscore: format!("_{key}").into(),
            key: key.into(),
            ty: own.unwrap_or_else(|| self.types.root(code)),
            primitive,
            profiles: ty.profiles.clone(),
            targets: ty.target_profiles.clone(),
        }
    }
}

fn system_name(name: &str) -> &'static str {
    match name {
        "Boolean" => "boolean",
        "Integer" => "integer",
        "Decimal" => "decimal",
        "Date" => "date",
        "DateTime" => "dateTime",
        "Time" => "time",
        _ => "string",
    }
}

/// `dateTime` → `DateTime`.
pub fn capital(code: &str) -> String {
    let mut letters = code.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

fn small(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
