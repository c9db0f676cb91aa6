//! Fields of three kinds of objects as both sides write them. Each edit writes a token of its own, so that every single one can be
//! followed through the EHR's history and through our objects.

use std::collections::BTreeSet;

use serde_json::{Value, json};

pub type Tokens = BTreeSet<String>;

/// Who edits a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Staff,
    Ours,
    /// Both, each adding to one list or replacing one value.
    Both,
}

pub struct Field {
    pub object: &'static str,
    /// Where it is in the EHR's resource.
    pub there: &'static str,
    /// Where it is in our object; nothing where no mapping reads it.
    pub here: Option<&'static str>,
    pub who: Who,
    /// A list that only grows: an item there and here, the token at `$`.
    item: Option<(&'static str, &'static str)>,
    /// How often it is edited, of a hundred.
    pub share: u8,
}

const UNKNOWN: &str = "http://ward.example/remark";
const TEXT: &str = r#"{"text": "$"}"#;

const fn one(object: &'static str, there: &'static str, here: &'static str, who: Who, share: u8) -> Field {
    Field { object, there, here: Some(here), who, item: None, share }
}

const fn list(
    object: &'static str,
    there: &'static str,
    here: &'static str,
    item: (&'static str, &'static str),
) -> Field {
    Field { object, there, here: Some(here), who: Who::Both, item: Some(item), share: 20 }
}

const fn unknown(object: &'static str) -> Field {
    Field { object, there: "/extension", here: None, who: Who::Staff, item: None, share: 20 }
}

const PHONES: (&str, &str) = (r#"{"system": "phone", "value": "$"}"#, r#"{"kind": "phone", "value": "$"}"#);

pub const FIELDS: &[Field] = &[
    one("patient", "/maritalStatus/text", "/marital_status/text", Who::Staff, 20),
    one("patient", "/address/0/city", "/addresses/0/city", Who::Ours, 20),
    one("patient", "/name/0/family", "/names/0/family", Who::Both, 4),
    list("patient", "/telecom", "/contact_details", PHONES),
    unknown("patient"),
    one("appointment", "/patientInstruction", "/patient_instructions", Who::Staff, 20),
    one("appointment", "/description", "/description", Who::Ours, 20),
    one("appointment", "/comment", "/comment", Who::Both, 8),
    list("appointment", "/reasonCode", "/reasons", (TEXT, TEXT)),
    unknown("appointment"),
    one("message", "/statusReason/text", "/status_reason/text", Who::Staff, 20),
    one("message", "/topic/text", "/topic/text", Who::Ours, 20),
    list("message", "/note", "/remarks", (TEXT, TEXT)),
    unknown("message"),
];

impl Field {
    pub fn is_list(&self) -> bool {
        self.item.is_some()
    }

    /// The first member of our object that it is part of: what a change names.
    pub fn member(&self) -> Option<&'static str> {
        self.here?.split('/').nth(1)
    }

    pub fn write_there(&self, resource: &mut Value, token: &str) {
        if self.there == "/extension" {
            let list = slot(resource, self.there);
            let mut items = list.as_array().cloned().unwrap_or_default();
            items.retain(|item| item["url"] != UNKNOWN);
            items.push(json!({"url": UNKNOWN, "valueString": token}));
            *list = items.into();
        } else {
            write(resource, self.there, self.item.map(|item| item.0), token);
        }
    }

    pub fn write_here(&self, object: &mut Value, token: &str) {
        write(object, self.here.expect("a field of ours"), self.item.map(|item| item.1), token);
    }

    pub fn there(&self, resource: &Value) -> Tokens {
        tokens(resource.pointer(self.there))
    }

    pub fn here(&self, object: &Value) -> Tokens {
        tokens(self.here.and_then(|here| object.pointer(here)))
    }
}

/// Sets the value, or adds an item with it.
fn write(value: &mut Value, pointer: &str, item: Option<&str>, token: &str) {
    let slot = slot(value, pointer);
    match item {
        Some(item) => {
            if slot.is_null() {
                *slot = json!([]);
            }
            let item = serde_json::from_str(&item.replace('$', token)).expect("JSON");
            slot.as_array_mut().expect("a list").push(item);
        }
        None => *slot = json!(token),
    }
}

/// The place that a pointer names, made where it is missing.
fn slot<'v>(value: &'v mut Value, pointer: &str) -> &'v mut Value {
    pointer.split('/').skip(1).fold(value, |value, step| match step.parse::<usize>() {
        Ok(at) => {
            if value.is_null() {
                *value = json!([]);
            }
            let list = value.as_array_mut().expect("a list");
            if list.len() <= at {
                list.push(Value::Null);
            }
            &mut list[at]
        }
        Err(_) => &mut value[step],
    })
}

/// All that are written somewhere in it.
pub fn tokens(value: Option<&Value>) -> Tokens {
    match value {
        Some(Value::String(text)) if is_token(text) => Tokens::from([text.clone()]),
        Some(Value::Array(items)) => items.iter().flat_map(|item| tokens(Some(item))).collect(),
        Some(Value::Object(members)) => members.values().flat_map(|member| tokens(Some(member))).collect(),
        _ => Tokens::new(),
    }
}

/// `s-12` is the hospital's, `o-12` is ours.
fn is_token(text: &str) -> bool {
    text.strip_prefix("s-").or_else(|| text.strip_prefix("o-")).is_some_and(|number| number.parse::<u32>().is_ok())
}
