//! `defineVariable`, `slice` and `checkModifiers`: what later versions and FHIR add to FHIRPath.
//! <https://hl7.org/fhirpath/#definevariablename-string-expr-expression>, <https://hl7.org/fhir/fhirpath.html#functions>

use super::{
    ast::{Call, Define},
    error::Error,
    eval::{Env, Flow, GO_ON, Run, Sink, Source},
    item::{Collection, Item},
};

/// A variable, the items that it was defined upon, and those defined before.
pub(super) struct Defined<'e, 'a> {
    name: String,
    pub value: Collection<'a>,
    pub items: Collection<'a>,
    outer: Option<&'e Self>,
}

impl<'a> Defined<'_, 'a> {
    /// The variable of this name.
    pub(super) fn named(&self, name: &str) -> Option<&Self> {
        let mut at = Some(self);
        while let Some(defined) = at {
            if defined.name == name {
                return at;
            }
            at = defined.outer;
        }
        None
    }
}

impl<'a> Run<'_, 'a> {
    /// What follows sees the variable, and the items that stood before.
    pub(super) fn define(&self, define: &'a Define, env: Env<'_, 'a>, sink: Sink<'_, 'a>) -> Flow {
        let items = self.collect(&define.before, env)?;
        let name = self.single(&define.name, env)?;
        let name = name.as_ref().and_then(Item::text).unwrap_or_default().to_owned();
        let known = matches!(name.as_str(), "context" | "resource" | "rootResource" | "ucum" | "sct" | "loinc")
            || env.defined.is_some_and(|defined| defined.named(&name).is_some())
            || self.context.variables.is_some_and(|variables| variables.contains_key(&name));
        if name.is_empty() || known {
            return Err(Error::evaluation(format!("the variable %{name} is defined already, or has no name")));
        }
        self.pay(items.len() as u64)?;
        let mut defined = Defined { name: String::new(), value: Collection::new(), items, outer: env.defined };
        defined.value = match &define.value {
            // Seen from all the items at once, and without the variable itself
            Some(value) => self.collect(value, Env { defined: Some(&defined), ..env })?,
            None => defined.items.clone(),
        };
        defined.name = name;
        self.visit(&define.after, Env { defined: Some(&defined), ..env }, sink)
    }

    /// The same items, unless one has a modifier extension that is not among those named.
    pub(super) fn check_modifiers(&self, call: &'a Call, source: Source<'_, 'a>, sink: Sink<'_, 'a>) -> Flow {
        let mut known = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            known.extend(self.single(arg, source.env)?);
        }
        self.source(source, &mut |item| {
            if let Item::Node(node) = &item {
                let modifiers = node.value.and_then(|value| value.get("modifierExtension")?.as_array());
                for modifier in modifiers.into_iter().flatten() {
                    let url = modifier.get("url").and_then(serde_json::Value::as_str);
                    if !known.iter().any(|known| known.text() == url) {
                        return Err(Error::evaluation(
                            "there is a modifier extension that the expression does not know",
                        ));
                    }
                }
            }
            sink(item)
        })
    }

    /// The items that are in a slice of a profile.
    pub(super) fn slice(&self, call: &'a Call, source: Source<'_, 'a>, sink: Sink<'_, 'a>) -> Flow {
        let [profile, name] = call.args.as_slice() else { return GO_ON };
        let (profile, name) = (self.single(profile, source.env)?, self.single(name, source.env)?);
        let (Some(profile), Some(name)) = (&profile, &name) else { return GO_ON };
        let (Some(profile), Some(name)) = (profile.text(), name.text()) else { return GO_ON };
        self.source(source, &mut |item| {
            let Item::Node(node) = &item else { return GO_ON };
            match self.context.conformance.and_then(|known| known.in_slice(*node, profile, name)) {
                Some(true) => sink(item),
                Some(false) => GO_ON,
                None => Err(Error::evaluation("whether an item is in the slice cannot be told")),
            }
        })
    }
}
