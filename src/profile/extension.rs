//! Extensions: whether their definition is known, whether they may stand where they stand, modifier or not (ext-1), and
//! what their definition says of their content. <https://hl7.org/fhir/R4/extensibility.html>

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;

use super::{
    elements::{is_absolute, is_example},
    place::Place,
    say::Say,
    types::Element,
    walk::{Scope, Walk},
};
use crate::{
    definitions::{ContextKind, Structure},
    fhir::inner,
    fhirpath::{Expression, Item, Model, Node, Type},
};

/// Extensions that need no definition: HL7's own for its tools, and those that stand for elements of other versions.
const ALWAYS: &[&str] = &[
    "http://hl7.org/fhir/tools/StructureDefinition/",
    "http://hl7.org/fhir/build/StructureDefinition/",
    "http://hl7.org/fhir/1.0/StructureDefinition/extension-",
    "http://hl7.org/fhir/3.0/StructureDefinition/extension-",
    "http://hl7.org/fhir/4.0/StructureDefinition/extension-",
    "http://hl7.org/fhir/4.3/StructureDefinition/extension-",
    "http://hl7.org/fhir/5.0/StructureDefinition/extension-",
];

/// Extensions whose package is well known: not having it at hand is no fault of the resource.
const PACKAGES: &[(&str, &str)] = &[
    ("http://hl7.org/fhir/StructureDefinition/", "hl7.fhir.uv.extensions.r4"),
    ("http://hl7.org/fhir/us/core/StructureDefinition/", "hl7.fhir.us.core"),
    ("http://hl7.org/fhir/uv/ips/StructureDefinition/", "hl7.fhir.uv.ips"),
];

impl<'a> Walk<'a> {
    /// One item of `extension` or `modifierExtension`. `owner` describes the element that carries it.
    pub fn extension(&mut self, element: &'a Element, value: &'a Value, place: &Place<'_>, scope: &Scope<'a>) {
        let valued = value.as_object().is_some_and(|members| members.keys().any(|key| is_value(key)));
        let nested = inner(value, "extension").is_some();
        if valued == nested {
            let text =
                "an extension must have either a value or extensions of its own, not both and not neither (ext-1)";
            self.raise(place, None, Say::error("invariant", "ext-1", text));
        }
        let Some(url) = inner(value, "url").and_then(Value::as_str) else { return };
        let at = place.plain("url", None);
        if !is_absolute(url) {
            if !place.parent().is_some_and(|parent| matches!(parent.key(), "extension" | "modifierExtension")) {
                let text = "the URL of an extension must be absolute";
                self.raise(&at, None, Say::error("invalid", "extension-url", text));
            }
            return;
        }
        self.example_url(url, &at);
        let (plain, version) = url.split_once('|').map_or((url, None), |(plain, version)| (plain, Some(version)));
        let Some(profile) = self.validator.profile_plan(plain) else {
            return self.unknown_extension(plain, &*element.name == "modifierExtension", place);
        };
        let definition = Arc::clone(&profile.structure);
        if version.is_some() {
            let text = "the URL of an extension must not contain a version";
            self.raise(&at, None, Say::error("invalid", "extension-url", text));
        }
        if definition.type_name != "Extension" {
            let text = "this URL is that of a profile on another type, not of an extension";
            return self.raise(&at, None, Say::error("structure", "extension-url", text));
        }
        let modifier = &*element.name == "modifierExtension";
        if modifier != definition.elements.first().is_some_and(|root| root.is_modifier) {
            let text = if modifier {
                "this extension is not defined as one that modifies; put it in 'extension'"
            } else {
                "this extension is defined as one that modifies; put it in 'modifierExtension'"
            };
            self.raise(place, Some(&definition), Say::error("structure", "modifier-extension", text));
        }
        self.extension_context(&definition, place, scope);
        self.inner_extensions(&definition, value, place);
        let focus = Node::new(Some(value), None, self.types.root("Extension"));
        self.plan(&profile, focus, place, scope);
    }

    fn unknown_extension(&mut self, url: &str, modifies: bool, place: &Place<'_>) {
        let named = super::suggest::name(url);
        let allowed = self.options.unknown_extensions
            || (self.options.examples && is_example(url))
            || url.contains("nema.org")
            || ALWAYS.iter().any(|prefix| url.starts_with(prefix))
            || self.options.extension_domains.iter().any(|domain| url.starts_with(domain.as_str()));
        let text = format!("the extension {named} is not known, so it was not checked");
        if let Some((_, package)) = PACKAGES.iter().find(|(prefix, _)| url.starts_with(prefix)) {
            let fix = Some(format!("load the package that defines it: --package {package}"));
            return self.raise_with_fix(place, None, Say::warning("not-found", "unknown-extension", text), fix);
        }
        let say = if allowed && modifies {
            let text = format!(
                "the modifier extension {named} is not known; whoever does not know what it means must \
                not use what it stands on"
            );
            Say::warning("informational", "unknown-extension", text)
        } else if allowed {
            Say::information("informational", "unknown-extension", text)
        } else if !url.contains("/StructureDefinition/") {
            // It does not even claim to have a definition somewhere.
            Say::warning("informational", "unknown-extension", text)
        } else {
            Say::error(
                "structure",
                "unknown-extension",
                format!("the extension {named} is not known and not allowed here"),
            )
        };
        self.raise(place, None, say);
    }

    /// Whether the extension may stand here.
    fn extension_context(&mut self, definition: &Arc<Structure>, place: &Place<'_>, scope: &Scope<'a>) {
        let Some(owner) = place.parent() else { return };
        if definition.contexts.is_empty() {
            return;
        }
        let fits = definition.contexts.iter().any(|context| match context.kind {
            ContextKind::Element => self.stands_at(owner, &context.expression),
            // On the extension, or on its value.
            ContextKind::Extension => {
                let owner = if is_value(owner.key()) { owner.parent().unwrap_or(owner) } else { owner };
                owner.key() == "extension" && self.extension_url(owner) == Some(context.expression.as_str())
            }
            // Decided by an evaluation on the whole resource; not cheap, and rare.
            ContextKind::Fhirpath => self.stands_at_path(owner, &context.expression, scope),
        });
        if !fits {
            let allowed: Vec<&str> = definition.contexts.iter().map(|context| context.expression.as_str()).collect();
            let text =
                format!("the extension {} may not stand here; it may on: {}", definition.url, allowed.join(", "));
            return self.raise(place, Some(definition), Say::error("structure", "extension-context", text));
        }
        for rule in &definition.context_invariants {
            if self.owner_keeps(owner, rule, scope) == Some(false) {
                let text = format!("the extension {} may stand here only where: {rule}", definition.url);
                self.raise(place, Some(definition), Say::error("structure", "extension-context", text));
            }
        }
    }

    /// Whether the element that carries an extension keeps a rule; none if that cannot be told.
    fn owner_keeps(&self, owner: &Place<'_>, rule: &str, scope: &Scope<'a>) -> Option<bool> {
        let value = self.root.pointer(&owner.pointer())?;
        // `_birthDate` carries extensions of a value that stands elsewhere
        if owner.key().starts_with('_') {
            return None;
        }
        let expression = Expression::parse(rule).ok()?;
        // What a backbone element has only the definition around it knows
        let code = owner.what().code;
        let ty = if matches!(code, "BackboneElement" | "Element") { Type::UNKNOWN } else { self.types.root(code) };
        self.holds(&expression, Node::new(Some(value), None, ty), scope).ok()
    }

    /// Extensions within an extension are named by its definition: a relative URL that it does not have means nothing.
    fn inner_extensions(&mut self, definition: &Arc<Structure>, value: &'a Value, place: &Place<'_>) {
        let Some(Value::Array(inner)) = value.get("extension") else { return };
        let named = |url: &str| {
            definition.elements.iter().any(|element| {
                element.path == "Extension.extension.url"
                    && element.fixed.as_ref().is_some_and(|fixed| fixed.value == url)
            })
        };
        for (index, one) in inner.iter().enumerate() {
            let Some(url) = one.get("url").and_then(Value::as_str) else { continue };
            if !is_absolute(url) && !named(url) {
                let inner = place.plain("extension", Some(index));
                let text = format!("the extension {} has no '{}'", definition.url, super::suggest::name(url));
                // R4's own examples are not quite in step with R4's own extensions (Bundle hla-1)
                let is_error = !definition.url.starts_with("http://hl7.org/fhir/StructureDefinition/");
                let say = Say::error_if(is_error, "invalid", "extension-url", text);
                self.raise(&inner.plain("url", None), Some(definition), say);
            }
        }
    }

    /// Whether `owner` is what an element context names.
    fn stands_at(&self, owner: &Place<'_>, expression: &str) -> bool {
        let expression = expression.rsplit('#').next().unwrap_or(expression);
        let plain: Cow<'_, str> = if expression.contains(':') {
            expression
                .split('.')
                .map(|part| part.split(':').next().unwrap_or(part))
                .collect::<Vec<_>>()
                .join(".")
                .into()
        } else {
            expression.into()
        };
        let what = owner.what();
        let known = |name: &str| self.types.root(name);
        if matches!(&*plain, "Element" | "*") || plain == what.path || plain == what.code {
            return true;
        }
        match plain.split_once('.') {
            None => match &*plain {
                "CanonicalResource" | "MetadataResource" => {
                    self.types.by_name(what.code).is_some_and(|plan| plan.nodes[0].keys.contains_key("url"))
                }
                "DataType" => self.types.by_name(what.code).is_some_and(|plan| !plan.is_domain),
                name => self.types.is_a(known(what.code), known(name)),
            },
            Some((root, rest)) => [what.path, &owner.names()].iter().any(|path| {
                plain == *path
                    || path.split_once('.').is_some_and(|(own, own_rest)| {
                        (own_rest == rest || own_rest.replace("[x]", "") == rest)
                            && self.types.is_a(known(own), known(root))
                    })
            }),
        }
    }

    /// Whether `owner` is among what a FHIRPath context selects.
    fn stands_at_path(&self, owner: &Place<'_>, expression: &str, scope: &Scope<'a>) -> bool {
        let Some(owner) = self.root.pointer(&owner.pointer()) else { return true };
        let Ok(expression) = Expression::parse(expression) else { return true };
        let found = self.evaluate(&expression, scope.resource, scope, |items| {
            items.iter().any(|item| {
                matches!(item, Item::Node(node) if [node.value(), node.sibling()].into_iter().flatten().any(|it| std::ptr::eq(it, owner)))
                    || matches!(item, Item::Boolean(true))
            })
        });
        found.unwrap_or(true)
    }

    fn extension_url(&self, owner: &Place<'_>) -> Option<&'a str> {
        self.root.pointer(&owner.pointer())?.get("url")?.as_str()
    }
}

fn is_value(key: &str) -> bool {
    let key = key.strip_prefix('_').unwrap_or(key);
    key.strip_prefix("value").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
}
