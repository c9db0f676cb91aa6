//! References: their syntax, their target's type, and where they lead (contained, bundle).
//! <https://hl7.org/fhir/R4/references.html>

use serde_json::Value;

use super::{
    bundle::Strict,
    options::ReferencePolicy,
    place::Place,
    say::Say,
    walk::{Scope, Walk},
};
use crate::{
    fhir::{Reference, inner, resource_type},
    fhirpath::{Model, Node},
};

/// Where a reference leads.
#[derive(Clone, Copy, Debug)]
pub struct Led<'a> {
    /// The resource.
    pub resource: &'a Value,
    /// Its type.
    pub kind: Option<&'a str>,
    /// Its entry in the outermost bundle.
    pub entry: Option<usize>,
    /// Index in `contained`.
    pub contained_index: Option<usize>,
}

impl<'a> Walk<'a> {
    /// The target of a literal reference, if it is at hand.
    pub fn follow(&self, reference: &str, scope: &Scope<'a>) -> Option<Led<'a>> {
        if let Some(fragment) = reference.strip_prefix('#') {
            let container = scope.container()?;
            if fragment.is_empty() {
                return Some(Led {
                    resource: container,
                    kind: resource_type(container),
                    entry: scope.entry,
                    contained_index: None,
                });
            }
            let contained = inner(container, "contained")?.as_array()?;
            let index = self.contained_at(contained, fragment)?;
            let resource = &contained[index];
            let kind = resource_type(resource);
            return Some(Led { resource, kind, entry: scope.entry, contained_index: Some(index) });
        }
        let found = self.index.resolve(reference, scope.entry)?;
        Some(Led { resource: found.resource, kind: found.kind, entry: Some(found.entry), contained_index: None })
    }

    /// The first contained resource with this id; by an index where there are many, so that a resource full of
    /// references to them costs by its size and not by its square.
    fn contained_at(&self, contained: &'a [Value], id: &str) -> Option<usize> {
        const FEW: usize = 16;
        let own = |it: &'a Value| inner(it, "id").and_then(Value::as_str);
        if contained.len() <= FEW {
            return contained.iter().position(|it| own(it) == Some(id));
        }
        let mut known = self.contained_ids.borrow_mut();
        let (of, ids) = known.get_or_insert_default();
        let address = contained.as_ptr() as usize;
        if *of != address {
            *of = address;
            ids.clear();
            for (at, id) in contained.iter().enumerate().filter_map(|(at, it)| Some((at, own(it)?))) {
                ids.entry(id).or_insert(at);
            }
        }
        ids.get(id).copied()
    }

    /// A `Reference`.
    pub fn reference(&mut self, targets: &'a [String], value: &'a Value, place: &Place<'_>, scope: &Scope<'a>) {
        let Some(text) = inner(value, "reference").and_then(Value::as_str) else {
            return self.logical(targets, value, place);
        };
        if let Some(fragment) = text.strip_prefix('#') {
            self.fragments.push((scope.contained_index, fragment));
        }
        let at = place.plain("reference", None);
        if text.contains(char::is_whitespace) {
            let text = "a reference is a URI and must not hold white space";
            return self.raise(&at, None, Say::error("invalid", "reference", text));
        }
        self.example_url(text, &at);
        self.ambiguous(text, &at, scope);
        let led = self.follow(text, scope);
        let implied = match (led, Reference::parse(text)) {
            (Some(led), _) => led.kind,
            (None, Reference::Contained(_)) => {
                let text = "no contained resource has this id (ref-1)";
                return self.raise(&at, None, Say::error("invariant", "ref-1", text));
            }
            (None, Reference::Literal { base, kind, .. }) => {
                if !base.is_empty() && !super::elements::is_absolute(base) {
                    let text = "the reference is neither relative nor an absolute URI";
                    return self.raise(&at, None, Say::error("invalid", "reference", text));
                }
                if self.types.resource(kind).is_none() && base.is_empty() {
                    let text = "a relative reference must be a resource type of FHIR R4, '/' and an id";
                    return self.raise(&at, None, Say::error("invalid", "reference", text));
                }
                // Whoever says that all references are RESTful says that what stands before the id is a type
                if self.types.resource(kind).is_none() && self.options.assume_valid_rest_references {
                    let text = "what this reference leads to is not a resource type of FHIR R4";
                    return self.raise(&at, None, Say::error("invalid", "reference", text));
                }
                self.types.resource(kind).map(|_| kind)
            }
            (None, Reference::Other(text)) if !super::elements::is_absolute(text) && !is_search(text) => {
                let text = "a relative reference must be a resource type of FHIR R4, '/' and an id";
                return self.raise(&at, None, Say::error("invalid", "reference", text));
            }
            (None, _) => text.split_once('?').map(|(kind, _)| kind).filter(|kind| self.types.resource(kind).is_some()),
        };
        if led.is_none() && !is_search(text) {
            self.absent(text, &at, scope);
        }
        self.logical(targets, value, place);
        if let Some(kind) = implied {
            self.stated_type(value, kind, place);
            self.target_type(targets, kind, place);
        }
    }

    /// A reference in a bundle that FHIR's rules do not lead to one entry, though some seem to be meant.
    fn ambiguous(&mut self, text: &str, place: &Place<'_>, scope: &Scope<'a>) {
        if let Some((kind, query)) = text.split_once('?')
            && self.types.resource(kind).is_some()
        {
            let good =
                |part: &str| part.split_once('=').is_some_and(|(name, value)| !name.is_empty() && !value.contains('='));
            if !query.split('&').all(good) {
                let text = "a conditional reference must be a type, '?' and a search (name=value)";
                self.raise(place, None, Say::error("invalid", "reference", text));
            }
            return;
        }
        if scope.entry.is_none() || text.starts_with('#') || self.index.kind.is_empty() {
            return;
        }
        match self.index.strictly(text, scope.entry) {
            Strict::Several if self.index.kind != "history" => {
                let text = "several entries of the bundle have this fullUrl; name a version";
                self.raise(place, None, Say::error("invalid", "reference-several", text));
            }
            Strict::Apparent { why } => {
                // Documents and messages must hold what they speak of; elsewhere it may stand at a server
                let is_error = matches!(self.index.kind, "document" | "message");
                self.raise(place, None, Say::error_if(is_error, "not-found", "reference-full-url", why.sentence()));
            }
            _ => {}
        }
    }

    /// A canonical whose target is at hand must lead to one of the types that are allowed.
    pub fn canonical_target(&mut self, targets: &[String], url: &str, place: &Place<'_>) {
        if targets.is_empty() || url.starts_with('#') || !self.types.definitions.has(url, "") {
            return;
        }
        let Some(kinds) = self.target_types(targets) else { return };
        if !kinds.iter().any(|kind| self.types.definitions.has(url, kind)) {
            let text = format!("this leads to something that is no {}", kinds.join(" or "));
            self.raise(place, None, Say::error("invalid", "canonical-target", text));
        }
    }

    /// A target that is not at hand, where it must be.
    fn absent(&mut self, text: &str, place: &Place<'_>, scope: &Scope<'a>) {
        let must = matches!(
            self.options.references,
            ReferencePolicy::CheckExists | ReferencePolicy::CheckExistsAndType | ReferencePolicy::CheckValid
        );
        let in_bundle = text.starts_with("urn:") && scope.entry.is_some();
        if must && !(self.options.examples && super::elements::is_example(text)) {
            let text = "the resource that this reference leads to is not at hand";
            self.raise(place, None, Say::error("not-found", "reference-target", text));
        } else if in_bundle && matches!(self.index.kind, "document" | "message" | "transaction" | "batch") {
            let text = "no entry of the bundle has this fullUrl";
            self.raise(place, None, Say::warning("not-found", "reference-target", text));
        }
    }

    /// `Reference.type` against the target's type.
    fn stated_type(&mut self, value: &'a Value, kind: &str, place: &Place<'_>) {
        let Some(stated) = inner(value, "type").and_then(Value::as_str) else { return };
        let stated = stated.rsplit('/').next().unwrap_or(stated);
        if stated != kind && !self.is_kind(kind, stated) {
            let text = format!(
                "the reference's type says {} but it leads to {}",
                super::suggest::name(stated),
                crate::domain::a(kind)
            );
            self.raise(&place.plain("type", None), None, Say::error("invalid", "reference-type", text));
        }
    }

    /// A reference by identifier or display only: its stated type must fit.
    fn logical(&mut self, targets: &'a [String], value: &'a Value, place: &Place<'_>) {
        if let Some(stated) = inner(value, "type").and_then(Value::as_str) {
            let stated = stated.rsplit('/').next().unwrap_or(stated);
            if self.types.resource(stated).is_some() {
                self.target_type(targets, stated, place);
            }
        }
    }

    fn is_kind(&self, kind: &str, ancestor: &str) -> bool {
        self.types.is_a(self.types.root(kind), self.types.root(ancestor))
    }

    /// Types that these target profiles allow; none where any is.
    pub fn target_types(&self, targets: &[String]) -> Option<Vec<String>> {
        let mut kinds = Vec::new();
        for target in targets {
            let name = target.strip_prefix("http://hl7.org/fhir/StructureDefinition/");
            let name = match name.filter(|name| self.types.by_name(name).is_some()) {
                Some(name) => name.to_owned(),
                None => self.types.definitions.structure(target)?.type_name.clone(),
            };
            if name == "Resource" {
                return None;
            }
            kinds.push(name);
        }
        (!kinds.is_empty()).then_some(kinds)
    }

    /// The target's type must be one of those allowed.
    pub fn target_type(&mut self, targets: &[String], kind: &str, place: &Place<'_>) {
        const BASE: &str = "http://hl7.org/fhir/StructureDefinition/";
        if targets.is_empty()
            || targets
                .iter()
                .any(|target| target.strip_prefix(BASE).is_some_and(|name| name == kind || name == "Resource"))
        {
            return;
        }
        let Some(kinds) = self.target_types(targets) else { return };
        if kinds.iter().any(|allowed| allowed == kind || self.is_kind(kind, allowed)) {
            return;
        }
        let text = format!("a reference to {kind} is not allowed here; allowed: {}", kinds.join(", "));
        self.raise(place, None, Say::error("structure", "reference-target-type", text));
    }

    /// The scope of a target, for validating it where it stands.
    pub fn led_scope(&self, led: Led<'a>, scope: &Scope<'a>) -> Option<Scope<'a>> {
        let ty = self.types.resource(led.kind?)?.nodes.first()?.ty;
        let node = Node::new(Some(led.resource), None, ty);
        let root = if led.contained_index.is_some() { scope.root } else { node };
        Some(Scope { resource: node, root, entry: led.entry, contained_index: led.contained_index })
    }
}

/// `Patient?identifier=…`, a conditional reference.
fn is_search(text: &str) -> bool {
    text.split_once('?').is_some_and(|(kind, _)| kind.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}
