//! References inside a transaction: those to other entries by `fullUrl` become literal, conditional ones
//! (`Patient?identifier=…`) become the one resource that fits (<https://hl7.org/fhir/R4/http.html#trules>).

use std::collections::HashMap;

use serde_json::Value;

use super::{Error, Serving};

impl Serving<'_> {
    /// Rewrites all references of a resource; `names` maps each `fullUrl` to its `Type/id`.
    pub(super) fn rewrite(self, value: &mut Value, names: &HashMap<String, String>) -> Result<(), Error> {
        match value {
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.rewrite(item, names)),
            Value::Object(members) => members.iter_mut().try_for_each(|(key, member)| match member {
                Value::String(text) => {
                    if let Some(new) = self.rewritten(key, text, names)? {
                        *text = new;
                    }
                    Ok(())
                }
                other => self.rewrite(other, names),
            }),
            Value::String(text) => {
                // A list of primitives (canonical, uri) may name an entry as well.
                if let Some(new) = names.get(text.as_str()).filter(|_| text.starts_with("urn:")) {
                    text.clone_from(new);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn rewritten(self, key: &str, text: &str, names: &HashMap<String, String>) -> Result<Option<String>, Error> {
        if key == "div" {
            // Most narratives name no entry; only those that do are compared with every entry.
            if !text.contains("urn:") {
                return Ok(None);
            }
            let hit = names.iter().filter(|(full, _)| full.starts_with("urn:") && text.contains(full.as_str()));
            let new = hit.fold(text.to_owned(), |text, (full, name)| text.replace(full.as_str(), name));
            return Ok((new != text).then_some(new));
        }
        if text.starts_with("urn:") {
            // `fullUrl`s are UUIDs and OIDs of this bundle; an identifier's system never is one of them by chance.
            return Ok(names.get(text).cloned());
        }
        if key != "reference" {
            return Ok(None);
        }
        let (plain, version) = text.split_once("/_history/").map_or((text, None), |(plain, v)| (plain, Some(v)));
        if let Some(name) = names.get(plain) {
            return Ok(Some(version.map_or_else(|| name.clone(), |version| format!("{name}/_history/{version}"))));
        }
        match text.split_once('?') {
            Some((kind, query)) if self.server.model.is_type(kind) => match self.only_match(kind, query)? {
                Some(id) => Ok(Some(format!("{kind}/{id}"))),
                None => Err(Error::BadBundle {
                    text: "a conditional reference matches nothing".to_owned(),
                    expression: String::new(),
                }),
            },
            _ => Ok(None),
        }
    }
}
