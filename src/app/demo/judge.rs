//! The verdict on a scenario, from the EHR's true history alone where it can tell: what never arrived, what arrived
//! twice, and which of the EHR's own changes were overwritten.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;

use crate::{
    fhir,
    rest::{Method, Version},
};

/// A change that the EHR's own staff made.
#[derive(Clone, Debug)]
pub struct Edit {
    pub object: String,
    pub id: String,
    pub kind: String,
    pub resource: String,
    pub patch: Vec<Value>,
}

/// What the true history says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub lost: usize,
    pub doubled: usize,
    pub clobbered: usize,
}

/// The resources of the true history by the identifiers of this instance.
pub struct Truth {
    prefix: String,
    log: Vec<Arc<Version>>,
}

impl Truth {
    pub fn new(instance: &str, log: Vec<Arc<Version>>) -> Self {
        Self { prefix: format!("urn:liaison:{instance}:"), log }
    }

    fn own<'v>(&self, version: &'v Version) -> Vec<(&'v str, &'v str)> {
        let identifiers = version.resource.as_ref().and_then(|resource| resource.get("identifier"));
        let list = match identifiers {
            Some(Value::Array(list)) => list.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        let text = |one: &'v Value, name: &str| one.get(name).and_then(Value::as_str);
        let own = |one: &'v Value| Some((text(one, "system")?.strip_prefix(&self.prefix)?, text(one, "value")?));
        list.iter().filter_map(own).collect()
    }

    /// Type and id of the newest resource that carries the object's identifier.
    pub fn find(&self, object: &str, id: &str) -> Option<(String, String)> {
        let found = self.log.iter().rev().find(|version| self.own(version).contains(&(object, id)))?;
        Some((found.kind.clone(), found.id.clone()))
    }

    /// How often each object's part was created: each (object, id, type) should be once.
    fn creations(&self) -> BTreeMap<(&str, &str, &str), BTreeSet<&str>> {
        let mut made: BTreeMap<(&str, &str, &str), BTreeSet<&str>> = BTreeMap::new();
        for version in &self.log {
            for (object, id) in self.own(version) {
                made.entry((object, id, &version.kind)).or_default().insert(&version.id);
            }
        }
        made
    }

    fn newest(&self, kind: &str, id: &str) -> Option<&Version> {
        self.log.iter().rev().find(|version| version.kind == kind && version.id == id).map(AsRef::as_ref)
    }

    /// Whether the resource was written again after its creation by somebody else than the EHR's staff, who patch.
    fn updated(&self, object: &str, id: &str) -> bool {
        let Some((kind, resource)) = self.find(object, id) else { return false };
        let own = self.log.iter().filter(|version| version.kind == kind && version.id == resource);
        own.filter(|version| version.method == Method::Put).any(|version| version.version != "1")
    }

    /// `expected`: what must be there by now; `changed`: what must have been updated there (object, id).
    pub fn judge(&self, expected: &[(String, String)], changed: &[(String, String)], edits: &[Edit]) -> Verdict {
        let made = self.creations();
        let arrived: BTreeSet<(&str, &str)> = made.keys().map(|(object, id, _)| (*object, *id)).collect();
        let missing = |(object, id): &&(String, String)| !arrived.contains(&(object.as_str(), id.as_str()));
        let doubled = made.values().map(|ids| ids.len() - 1).sum();
        let overwritten = |edit: &&Edit| {
            let newest = self.newest(&edit.kind, &edit.resource).and_then(|version| version.resource.as_ref());
            !newest.is_some_and(|resource| edit.patch.iter().all(|operation| stands(operation, resource)))
        };
        Verdict {
            lost: expected.iter().filter(missing).count()
                + changed.iter().filter(|(object, id)| !self.updated(object, id)).count(),
            doubled,
            clobbered: edits.iter().filter(overwritten).count(),
        }
    }
}

/// Whether what one operation wrote is still there.
fn stands(operation: &Value, resource: &Value) -> bool {
    let path = operation.get("path").and_then(Value::as_str).unwrap_or_default();
    let Some(value) = operation.get("value") else { return resource.pointer(path).is_none() };
    let among = |list: &Value, one: &Value| {
        list.as_array().is_some_and(|list| list.iter().any(|found| fhir::canonically_equal(found, one)))
    };
    if let Some(parent) = path.strip_suffix("/-") {
        return resource.pointer(parent).is_some_and(|list| among(list, value));
    }
    let Some(found) = resource.pointer(path) else { return false };
    match value {
        // Others may stand beside them.
        Value::Array(items) => items.iter().all(|item| among(found, item)),
        _ => fhir::canonically_equal(found, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(sequence: u64, kind: &str, id: &str, method: Method, body: &str) -> Arc<Version> {
        let resource = Some(fhir::read_str(body).unwrap());
        let (kind, id, version) = (kind.to_owned(), id.to_owned(), sequence.to_string());
        Arc::new(Version { kind, id, version, at: jiff::Timestamp::UNIX_EPOCH, method, sequence, resource })
    }

    const MINE: &str = r#""identifier":[{"system":"urn:liaison:x:visit","value":"1"}]"#;

    #[test]
    fn counts_what_is_lost_doubled_and_overwritten() {
        let body = |rest: &str| format!("{{{MINE}{rest}}}");
        let expected = [("visit".to_owned(), "1".to_owned()), ("visit".to_owned(), "2".to_owned())];
        let edit = Edit {
            object: "visit".into(),
            id: "1".into(),
            kind: "A".into(),
            resource: "r1".into(),
            patch: vec![fhir::read_str(r#"{"op":"add","path":"/comment","value":"theirs"}"#).unwrap()],
        };
        let good = vec![
            version(1, "A", "r1", Method::Post, &body("")),
            version(2, "A", "r1", Method::Patch, &body(r#","comment":"theirs""#)),
        ];
        let judge = |log: Vec<Arc<Version>>| Truth::new("x", log).judge(&expected, &[], std::slice::from_ref(&edit));
        assert_eq!(judge(good.clone()), Verdict { lost: 1, doubled: 0, clobbered: 0 });
        let truth = Truth::new("x", good.clone());
        assert_eq!(truth.judge(&[], &expected[..1], &[]).lost, 1, "the update never came");
        let mut bad = good;
        bad.push(version(3, "A", "r1", Method::Put, &body(r#","comment":"ours""#)));
        bad.push(version(4, "A", "r2", Method::Post, &body("")));
        assert_eq!(judge(bad.clone()), Verdict { lost: 1, doubled: 1, clobbered: 1 });
        assert_eq!(Truth::new("x", bad[..3].to_vec()).judge(&[], &expected[..1], &[]).lost, 0);
    }
}
