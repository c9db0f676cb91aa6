//! JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7396) on a resource. FHIRPath Patch is not available.

use serde_json::{Map, Value};

use super::Error;
use crate::fhir;

/// A patch, read and not yet applied.
#[derive(Debug)]
pub(super) enum Patch {
    Operations(Vec<Value>),
    Merge(Value),
}

impl Patch {
    /// Reads the body by its content type.
    pub fn read(content_type: &str, body: &[u8]) -> Result<Self, Error> {
        match content_type {
            "application/json-patch+json" => match fhir::read(body)? {
                Value::Array(operations) => Ok(Self::Operations(operations)),
                _ => Err(Error::BadBody("a JSON Patch is a list of operations".to_owned())),
            },
            "application/merge-patch+json" => Ok(Self::Merge(fhir::read(body)?)),
            "application/fhir+json" => Err(Error::NotAvailable("FHIRPath Patch is not available".to_owned())),
            _ => Err(Error::MediaType(
                "PATCH takes application/json-patch+json and application/merge-patch+json".to_owned(),
            )),
        }
    }

    /// The patched copy; nothing is half applied.
    pub fn apply(&self, resource: &Value) -> Result<Value, Error> {
        let mut copy = resource.clone();
        match self {
            Self::Merge(patch) => merge(&mut copy, patch),
            Self::Operations(operations) => {
                for (at, operation) in operations.iter().enumerate() {
                    step(&mut copy, operation).map_err(|why| Error::Patch(format!("operation {at}: {why}")))?;
                }
            }
        }
        Ok(copy)
    }
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    for (key, change) in changes {
        if change.is_null() {
            members.shift_remove(key);
        } else {
            merge(members.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

fn step(document: &mut Value, operation: &Value) -> Result<(), &'static str> {
    let text = |name: &str| operation.get(name).and_then(Value::as_str);
    let path = text("path").ok_or("it has no path")?;
    let value = || operation.get("value").cloned().ok_or("it has no value");
    match text("op").ok_or("it has no op")? {
        "add" => add(document, path, value()?),
        "remove" => remove(document, path).map(drop),
        "replace" => {
            let place = document.pointer_mut(path).ok_or("there is nothing at its path")?;
            *place = value()?;
            Ok(())
        }
        "test" => {
            let same = document
                .pointer(path)
                .is_some_and(|found| operation.get("value").is_some_and(|value| fhir::canonically_equal(found, value)));
            if same { Ok(()) } else { Err("the test does not hold") }
        }
        "copy" | "move" => {
            let from = text("from").ok_or("it has no from")?;
            let moved = if text("op") == Some("move") {
                if path.starts_with(&format!("{from}/")) {
                    return Err("it moves a place into itself");
                }
                remove(document, from)?
            } else {
                document.pointer(from).cloned().ok_or("there is nothing at its from")?
            };
            add(document, path, moved)
        }
        _ => Err("its op is not one of add, remove, replace, move, copy, test"),
    }
}

fn split(path: &str) -> Result<(&str, String), &'static str> {
    let (parent, last) = path.rsplit_once('/').ok_or("its path is not a JSON pointer")?;
    Ok((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), &'static str> {
    if path.is_empty() {
        *document = value;
        return Ok(());
    }
    let (parent, key) = split(path)?;
    match document.pointer_mut(parent).ok_or("there is nothing to add to at its path")? {
        Value::Object(members) => {
            members.insert(key, value);
        }
        Value::Array(items) => {
            let at = if key == "-" { items.len() } else { index(&key)? };
            if at > items.len() {
                return Err("its index is beyond the end");
            }
            items.insert(at, value);
        }
        _ => return Err("there is nothing to add to at its path"),
    }
    Ok(())
}

fn remove(document: &mut Value, path: &str) -> Result<Value, &'static str> {
    const MISSING: &str = "there is nothing to remove at its path";
    let (parent, key) = split(path)?;
    match document.pointer_mut(parent).ok_or(MISSING)? {
        Value::Object(members) => members.shift_remove(&key).ok_or(MISSING),
        Value::Array(items) => {
            let at = index(&key)?;
            if at < items.len() { Ok(items.remove(at)) } else { Err(MISSING) }
        }
        _ => Err(MISSING),
    }
}

fn index(text: &str) -> Result<usize, &'static str> {
    let plain = text == "0" || !text.starts_with(['0', '+', '-']);
    text.parse().ok().filter(|_| plain).ok_or("its index is not a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(document: &str, patch: &str) -> Result<String, Error> {
        let patch = Patch::read("application/json-patch+json", patch.as_bytes())?;
        patch.apply(&fhir::read_str(document).unwrap()).map(|value| value.to_string())
    }

    #[test]
    fn json_patch() {
        let from = r#"{"a":[1,2],"b":{"c/d":1.10}}"#;
        let good = |patch, to: &str| assert_eq!(patched(from, patch).unwrap(), to, "{patch}");
        good(r#"[{"op":"add","path":"/a/1","value":9}]"#, r#"{"a":[1,9,2],"b":{"c/d":1.10}}"#);
        good(r#"[{"op":"add","path":"/a/-","value":9}]"#, r#"{"a":[1,2,9],"b":{"c/d":1.10}}"#);
        good(r#"[{"op":"remove","path":"/b/c~1d"}]"#, r#"{"a":[1,2],"b":{}}"#);
        good(r#"[{"op":"move","from":"/a/0","path":"/e"}]"#, r#"{"a":[2],"b":{"c/d":1.10},"e":1}"#);
        good(
            r#"[{"op":"test","path":"/b/c~1d","value":1.10},{"op":"replace","path":"/a","value":1}]"#,
            r#"{"a":1,"b":{"c/d":1.10}}"#,
        );
        for bad in [
            r#"[{"op":"test","path":"/b/c~1d","value":1.1}]"#,
            r#"[{"op":"add","path":"/a/7","value":1}]"#,
            r#"[{"op":"remove","path":"/a/01"}]"#,
            r#"[{"op":"remove","path":"/zz"}]"#,
            r#"[{"op":"move","from":"/b","path":"/b/x"}]"#,
            r#"[{"path":"/a"}]"#,
        ] {
            assert!(matches!(patched(from, bad), Err(Error::Patch(_))), "{bad}");
        }
    }

    #[test]
    fn merge_patch() {
        let patch = Patch::read("application/merge-patch+json", br#"{"a":null,"b":{"c":2}}"#).unwrap();
        let to = patch.apply(&fhir::read_str(r#"{"a":1,"b":{"d":1}}"#).unwrap()).unwrap();
        assert_eq!(to.to_string(), r#"{"b":{"d":1,"c":2}}"#);
        assert!(matches!(Patch::read("application/xml", b""), Err(Error::MediaType(_))));
    }
}
