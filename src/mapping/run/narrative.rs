//! The narrative, the one place that changes without a rule: a `generated` one is made anew when a mapped path
//! changed; any other was written by a person, is left, and is flagged.
//! <https://hl7.org/fhir/R4/narrative.html>

use serde_json::Value;

use crate::{error::Finding, fhir::canonically_equal};

/// Looks after `text` of a resource that was written into. `title` is the object's, for people.
pub(crate) fn refresh(before: &Value, resource: &mut Value, internal: &Value, title: &str) -> Option<Finding> {
    let status = before.get("text")?.get("status")?.as_str()?.to_owned();
    if canonically_equal(before, resource) {
        return None;
    }
    if status == "generated" {
        let text = resource.get_mut("text")?.as_object_mut()?;
        text.insert("div".to_owned(), div(internal, title).into());
        return None;
    }
    Some(Finding {
        pointer: "/text".to_owned(),
        code: "LIA-MAP-013".to_owned(),
        detail: "the record's text was written by a person and may not say what was changed".to_owned(),
        remedy: "read the text at the EHR and correct it there if needed".to_owned(),
    })
}

/// A table of the object's fields, escaped.
fn div(internal: &Value, title: &str) -> String {
    let mut rows = String::new();
    if let Some(members) = internal.as_object() {
        for (name, value) in
            members.iter().filter(|(name, _)| !matches!(name.as_str(), "id" | "version" | "identifiers"))
        {
            let text = words(value);
            if !text.is_empty() {
                let name = escape(&name.replace('_', " "));
                rows.push_str(&format!("<tr><td>{name}</td><td>{}</td></tr>", escape(&text)));
            }
        }
    }
    let title = escape(title);
    if rows.is_empty() {
        return format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>{title}</p></div>");
    }
    format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>{title}</p><table>{rows}</table></div>")
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Value::Null => String::new(),
        Value::Array(items) => items.iter().map(words).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; "),
        Value::Object(members) => {
            // What people read first; the inside of a file is not text.
            if let Some(shown) = ["display", "text", "full", "title"].iter().find_map(|name| members.get(*name)) {
                return words(shown);
            }
            let shown = members.iter().filter(|(name, _)| name.as_str() != "data").map(|(_, value)| words(value));
            shown.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
        }
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}
