//! Slicing in a differential: only where there can be several, told apart by paths that exist, and in keeping with the
//! slicing that the base has already. <https://hl7.org/fhir/R4/profiling.html#slicing>

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{found::Found, list, structure::Subject, text};
use crate::{
    definitions::Structure,
    profile::{place::Place, say::Say, suggest, walk::Walk},
};

impl<'a> Walk<'a> {
    /// `slicing` of an element of the differential; `whole` is the profile with its snapshot, `id` the element's there.
    pub fn slicing_definition(
        &mut self,
        subject: &Subject<'a>,
        element: &'a Value,
        inherited: &Map<String, Value>,
        whole: Option<(&Arc<Structure>, &str)>,
        at: &Place<'_>,
    ) {
        let Some(slicing) = element.get("slicing") else { return };
        let place = at.plain("slicing", None);
        let path = text(element, "path").unwrap_or_default();
        let wrong = |walk: &mut Self, sentence: String| {
            walk.raise(&place, Some(&subject.rules), Say::error("business-rule", "slicing", sentence));
        };
        if !path.contains('.') {
            return wrong(self, "the root cannot be sliced".to_owned());
        }
        let once = inherited.get("base").and_then(|base| base.get("max")).is_some_and(|max| max == "1");
        if once && !path.contains("[x]") && !is_by_type(slicing) {
            wrong(self, format!("{path} cannot be sliced, for there is never more than one"));
        }
        if let Some(known) = inherited.get("slicing")
            && let Some(sentence) = redefined(known, slicing)
        {
            wrong(self, sentence);
        }
        let Some((structure, id)) = whole else { return };
        let Some(from) = structure.index_of(id).map(|at| Found { structure: Arc::clone(structure), at }) else {
            return;
        };
        for (index, discriminator) in list(slicing, "discriminator").iter().enumerate() {
            let Some(path) = text(discriminator, "path") else { continue };
            if !self.leads_somewhere(&from, path) {
                let at = place.plain("discriminator", Some(index));
                let sentence = format!(
                    "the discriminator path '{}' leads nowhere from {}",
                    suggest::name(path),
                    from.element().path
                );
                self.raise(&at, Some(&subject.rules), Say::error("invalid", "discriminator", sentence));
            }
        }
    }

    /// Whether a discriminator's path, as far as plain names go, exists below an element.
    fn leads_somewhere(&self, from: &Found, path: &str) -> bool {
        let mut found = from.clone();
        for part in path.split('.') {
            if part == "$this" {
                continue;
            }
            if part.contains('(') {
                return true;
            }
            match found.child(&self.types.definitions, part) {
                Some(next) => found = next,
                None => return found.is_open() || found.element().types.iter().any(|ty| ty.code.contains('/')),
            }
        }
        true
    }
}

fn is_by_type(slicing: &Value) -> bool {
    let kinds: Vec<Option<&str>> = list(slicing, "discriminator").iter().map(|it| text(it, "type")).collect();
    !kinds.is_empty() && kinds.iter().all(|kind| matches!(kind, Some("type" | "profile")))
}

/// How a differential's slicing breaks the base's.
fn redefined(known: &Value, own: &Value) -> Option<String> {
    let differs = |name: &str| match (known.get(name), own.get(name)) {
        (Some(known), Some(own)) => known != own,
        _ => false,
    };
    // Unordered may become ordered, never the reverse.
    if differs("ordered") && known.get("ordered").is_some_and(|ordered| *ordered == true) {
        return Some("the base says that the slices are ordered, and this says that they are not".to_owned());
    }
    let (rules, before) = (text(own, "rules"), text(known, "rules"));
    if differs("rules") && before != Some("open") && !(before == Some("closed") && rules == Some("openAtEnd")) {
        return Some(format!(
            "the base's slicing is '{}', and this makes it '{}'",
            before.unwrap_or_default(),
            suggest::name(rules.unwrap_or_default())
        ));
    }
    let (before, own) = (list(known, "discriminator"), list(own, "discriminator"));
    let same = |pair: (&Value, &Value)| {
        text(pair.0, "path") == text(pair.1, "path") && text(pair.0, "type") == text(pair.1, "type")
    };
    let fits = before.is_empty() || own.is_empty() || (own.len() >= before.len() && before.iter().zip(own).all(same));
    (!fits).then(|| "the base tells the slices apart by other discriminators".to_owned())
}
