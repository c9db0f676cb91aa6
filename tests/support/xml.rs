//! FHIR XML to JSON, for the few supporting files of HL7's suite that exist as XML only. For tests: Liaison itself
//! takes JSON.

use liaison::{
    definitions::{Definitions, Structure},
    fhir::{Object, Value},
};

struct Tag {
    name: String,
    value: Option<String>,
    attributes: Vec<(String, String)>,
    children: Vec<Tag>,
}

/// Converts one resource.
pub fn to_json(text: &str, definitions: &Definitions) -> Value {
    let mut at = text.find("<?xml").map_or(0, |start| start + text[start..].find("?>").expect("declaration ends") + 2);
    let root = tag(text, &mut at).expect("one element");
    resource(&root, definitions)
}

fn unescape(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    text.replace("&#39;", "'")
        .replace("&#xA;", "\n")
        .replace("&#xD;", "\r")
        .replace("&#x9;", "\t")
        .replace("&amp;", "&")
}

fn tag(text: &str, at: &mut usize) -> Option<Tag> {
    loop {
        *at += text[*at..].find('<')?;
        if !text[*at..].starts_with("<!--") {
            break;
        }
        *at += text[*at..].find("-->")? + 3;
    }
    let end = *at + text[*at..].find('>')?;
    let empty = text[..end].ends_with('/');
    let inner = text[*at + 1..end].trim_end_matches('/');
    let (name, rest) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
    let mut made = Tag { name: name.to_owned(), value: None, attributes: Vec::new(), children: Vec::new() };
    let mut rest = rest.trim();
    while let Some((key, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let quote = after.chars().next()?;
        let close = after[1..].find(quote)? + 1;
        made.attributes.push((key.trim().to_owned(), unescape(&after[1..close])));
        rest = after[close + 1..].trim_start();
    }
    made.value = made.attributes.iter().find(|(key, _)| key == "value").map(|(_, value)| value.clone());
    let start = *at;
    *at = end + 1;
    if empty {
        return Some(made);
    }
    if name == "div" {
        let close = *at + text[*at..].rfind("</div>").filter(|_| true)?;
        // The narrative ends before </text>.
        let close = text[*at..]
            .find("</text>")
            .map_or(close, |text_end| *at + text[*at..*at + text_end].rfind("</div>").unwrap_or(0));
        made.value = Some(text[start..close + 6].to_owned());
        *at = close + 6;
        return Some(made);
    }
    loop {
        *at += text[*at..].find('<')?;
        if text[*at..].starts_with("</") {
            *at += text[*at..].find('>')? + 1;
            return Some(made);
        }
        if text[*at..].starts_with("<!--") {
            *at += text[*at..].find("-->")? + 3;
            continue;
        }
        made.children.push(tag(text, at)?);
    }
}

fn resource(tag: &Tag, definitions: &Definitions) -> Value {
    let structure = definitions.base_type(&tag.name).unwrap_or_else(|| panic!("{} is a type", tag.name));
    let mut made = Object::new();
    made.insert("resourceType".into(), Value::String(tag.name.clone()));
    members(tag, &structure, 0, definitions, &mut made);
    Value::Object(made)
}

fn members(tag: &Tag, structure: &Structure, at: usize, definitions: &Definitions, made: &mut Object) {
    for key in ["id", "url"] {
        if let Some((_, value)) = tag.attributes.iter().find(|(name, _)| name == key) {
            made.insert(key.into(), Value::String(value.clone()));
        }
    }
    for child in &tag.children {
        let found = structure.children(at).iter().copied().find(|index| {
            let element = &structure.elements[*index];
            element.name() == child.name || element.choice().is_some_and(|choice| child.name.starts_with(choice))
        });
        let index = found.unwrap_or_else(|| panic!("{} below {}", child.name, structure.elements[at].path));
        let element = &structure.elements[index];
        let code = element.types.iter().find(|ty| match element.choice() {
            Some(choice) => ty.code.eq_ignore_ascii_case(&child.name[choice.len()..]),
            None => true,
        });
        let code = code.map_or("", |ty| ty.code.as_str());
        let (value, extensions) = if !structure.children(index).is_empty() {
            (complex(child, structure, index, definitions), None)
        } else if let Some(reference) = &element.content_reference {
            let target = structure.index_of(reference.trim_start_matches('#')).expect("content reference");
            (complex(child, structure, target, definitions), None)
        } else if matches!(code, "Resource" | "DomainResource") {
            (Some(resource(&child.children[0], definitions)), None)
        } else {
            let inner = definitions.base_type(code).unwrap_or_else(|| panic!("type {code}"));
            if inner.kind == liaison::definitions::Kind::Primitive || code == "xhtml" {
                let extensions = complex(child, &inner, 0, definitions).filter(|_| !child.children.is_empty());
                (child.value.as_deref().map(|value| primitive(code, value)), extensions)
            } else {
                (complex(child, &inner, 0, definitions), None)
            }
        };
        put(made, &child.name, value, element.is_list());
        if extensions.is_some() {
            put(made, &format!("_{}", child.name), extensions, element.is_list());
        }
    }
}

fn put(made: &mut Object, name: &str, value: Option<Value>, list: bool) {
    let Some(value) = value else { return };
    if !list {
        made.insert(name.to_owned(), value);
    } else if let Value::Array(items) = made.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
        items.push(value);
    }
}

fn complex(tag: &Tag, structure: &Structure, at: usize, definitions: &Definitions) -> Option<Value> {
    let mut made = Object::new();
    members(tag, structure, at, definitions, &mut made);
    Some(Value::Object(made))
}

fn primitive(code: &str, text: &str) -> Value {
    match code {
        "boolean" => Value::Bool(text == "true"),
        "integer" | "positiveInt" | "unsignedInt" | "decimal" => liaison::fhir::read_str(text).expect("a number"),
        _ => Value::String(text.to_owned()),
    }
}
