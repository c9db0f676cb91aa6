//! FHIR as data: the one JSON reader, lossless resources over `serde_json::Value` (key order and number text
//! kept), references, and `OperationOutcome`. Knows nothing of internal objects.

pub mod counterpart;
mod foreign;
pub mod json;
pub mod outcome;
pub mod reference;
pub mod stored;
pub mod xhtml;

pub use counterpart::Counterparts;
pub use foreign::{Foreign, foreign};
pub use json::{JsonError, Limits, Positions, read, read_str};
pub use reference::{OwnBase, Reference};

/// A FHIR resource or any part of one: lossless, key order and number text kept.
pub type Value = serde_json::Value;
/// A JSON object in its order.
pub type Object = serde_json::Map<String, Value>;

/// `resourceType` of a resource, if it says one.
#[must_use]
pub fn resource_type(resource: &Value) -> Option<&str> {
    inner(resource, "resourceType")?.as_str()
}

/// Objects of at most this many members are searched through by comparing names: quicker than hashing one.
const SMALL: usize = 16;

/// A member by name.
#[must_use]
pub fn member<'a>(members: &'a Object, name: &str) -> Option<&'a Value> {
    if members.len() > SMALL {
        return members.get(name);
    }
    members.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
}

/// A member by name, to be changed.
pub fn member_mut<'a>(members: &'a mut Object, name: &str) -> Option<&'a mut Value> {
    if members.len() > SMALL {
        return members.get_mut(name);
    }
    members.iter_mut().find(|(own, _)| *own == name).map(|(_, value)| value)
}

/// A member of what may be an object.
#[must_use]
pub fn inner<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    member(value.as_object()?, name)
}

/// The text of a member; none where it is absent or no text.
#[must_use]
pub fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    inner(value, name)?.as_str()
}

/// The items of a list member; none where it is absent or no list.
#[must_use]
pub fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    inner(value, name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// An object of these members, as large as it must be.
#[must_use]
pub fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let mut object = Object::with_capacity(N);
    for (name, value) in members {
        object.insert(name.to_owned(), value);
    }
    Value::Object(object)
}

/// Canonical equality: key order ignored, array order kept, numbers compared as text.
#[must_use]
pub fn canonically_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                // Most often they stand in the same order.
                && a.iter().zip(b).all(|((key, value), (at, there))| {
                    let other = if key == at { Some(there) } else { member(b, key) };
                    other.is_some_and(|other| canonically_equal(value, other))
                })
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| canonically_equal(a, b))
        }
        (Value::Number(a), Value::Number(b)) => a.as_str() == b.as_str(),
        _ => a == b,
    }
}

/// Canonical bytes: keys sorted, no white space, numbers as written. Equal bytes mean canonical equality.
#[must_use]
pub fn canonical_bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_canonical(value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(members) => {
            let mut keys: Vec<&String> = members.keys().collect();
            keys.sort_unstable();
            out.push(b'{');
            for (at, key) in keys.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(Value::String(key.clone()).to_string().as_bytes());
                out.push(b':');
                write_canonical(&members[key], out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        Value::Number(number) => out.extend_from_slice(number.as_str().as_bytes()),
        other => out.extend_from_slice(other.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_equality_ignores_key_order_only() {
        let same = |a, b| canonically_equal(&read_str(a).unwrap(), &read_str(b).unwrap());
        assert!(same(r#"{"a":1,"b":[1,2]}"#, r#"{"b":[1,2],"a":1}"#));
        assert!(!same("[1,2]", "[2,1]"));
        assert!(!same("1.10", "1.1"));
        assert_eq!(canonical_bytes(&read_str(r#"{"b":1.10,"a":"x"}"#).unwrap()), br#"{"a":"x","b":1.10}"#);
    }
}
