//! What single elements must keep: primitives and their extensions, narratives, attachments.

use std::collections::HashSet;

use serde_json::Value;

use super::{
    anchors::Anchor,
    conformance::ecl,
    place::Place,
    primitive::{self, Primitive},
    say::Say,
    types::TypePlan,
    walk::{Scope, Walk},
};
use crate::fhir::{Reference, inner, outcome::Severity, xhtml};

/// Extensions whose `#id` is a place in the resource or its narrative.
const TEXT_LINKS: &[&str] =
    &["http://hl7.org/fhir/StructureDefinition/textLink", "http://hl7.org/fhir/StructureDefinition/narrativeLink"];

impl<'a> Walk<'a> {
    /// A primitive with its extensions; false if it has no value to look at further.
    pub fn primitive(
        &mut self,
        plan: &'a TypePlan,
        kind: Primitive,
        value: Option<&'a Value>,
        sibling: Option<&'a Value>,
        place: &Place<'_>,
        scope: &Scope<'a>,
    ) -> bool {
        if let Some(sibling) = sibling {
            self.primitive_extensions(sibling, place, scope);
        }
        let Some(value) = value.filter(|value| !value.is_null()) else {
            if sibling.is_none() {
                let text = "must have a value or an extension; null alone is not allowed";
                self.raise(place, None, Say::error("invalid", "ele-1", text));
            }
            return false;
        };
        if let Err(fault) = kind.check(value) {
            let code = if fault.kind { "structure" } else { "invalid" };
            let text = format!("'{}' {}", place.name(), fault.sentence);
            let rule = if fault.kind { "json-type" } else { "format" };
            let fix = fix_of(kind, value);
            self.raise_with_fix(place, Some(&plan.structure), Say::error_if(!fault.warning, code, rule, text), fix);
            return !fault.kind;
        }
        if let Value::String(text) = value {
            self.text(kind, text, place, scope);
        }
        true
    }

    fn primitive_extensions(&mut self, sibling: &'a Value, place: &Place<'_>, scope: &Scope<'a>) {
        let key = format!("_{}", place.key());
        let at = place.renamed(&key);
        let Some((plan, node)) = self.types.content(self.types.root("Element")) else { return };
        self.object(plan, node, sibling, &at, scope);
    }

    /// What text may not hold, and where fragments point.
    fn text(&mut self, kind: Primitive, text: &'a str, place: &Place<'_>, scope: &Scope<'a>) {
        match kind {
            Primitive::Uri | Primitive::Url | Primitive::Canonical => {
                if let Some(fragment) = text.strip_prefix('#') {
                    self.fragments.push((scope.contained_index, fragment));
                    if !fragment.is_empty() {
                        let severity = self.of_lost_fragment(place);
                        self.anchors.push(Anchor::new(fragment, "fragment", severity, place));
                    }
                }
                self.uri(kind, text, place);
            }
            Primitive::Text | Primitive::Markdown if text.contains('<') && looks_like_html(text) => {
                let strict =
                    self.options.security_checks || (kind == Primitive::Markdown && self.options.no_html_in_markdown);
                let text = "holds what looks like an HTML tag, which may be unsafe when it is shown";
                let say = if strict {
                    Say::error("invalid", "html-in-text", text)
                } else if kind == Primitive::Markdown {
                    return;
                } else {
                    Say::information("informational", "html-in-text", text)
                };
                self.raise(place, None, say);
            }
            _ => {}
        }
    }

    /// How bad it is that a URI's `#id` leads nowhere. R4 lets any URI have a fragment and says of few that it is a place
    /// in the resource: those are errors (HL7's validator has the same ones). `meta.source` names where a resource came
    /// from, and servers write the request's number there (HAPI: `#` and 16 characters).
    fn of_lost_fragment(&self, place: &Place<'_>) -> Severity {
        if place.what().path == "Meta.source" {
            return Severity::Information;
        }
        let into_resource =
            matches!(&*place.names(), "ValueSet.compose.include.system" | "ValueSet.compose.exclude.system")
                || self.is_text_link(place);
        if self.options.for_publication || into_resource { Severity::Error } else { Severity::Warning }
    }

    /// Whether a place belongs to an extension that links data with the narrative.
    fn is_text_link(&self, place: &Place<'_>) -> bool {
        let mut owner = place.parent();
        while let Some(extension) = owner.filter(|owner| matches!(owner.key(), "extension" | "modifierExtension")) {
            match self.root.pointer(&extension.pointer()).and_then(|it| it.get("url")).and_then(Value::as_str) {
                Some(url) if is_absolute(url) => return TEXT_LINKS.contains(&url),
                _ => owner = extension.parent(),
            }
        }
        false
    }

    fn uri(&mut self, kind: Primitive, text: &str, place: &Place<'_>) {
        if kind == Primitive::Canonical && !text.starts_with('#') && !is_absolute(text) {
            // A literal reference where a canonical should stand is what R4's own examples have.
            let literal = matches!(Reference::parse(text), Reference::Literal { base: "", kind, .. } if self.types.resource(kind).is_some());
            let text = "a canonical must be an absolute URL, or # and the id of a contained resource";
            self.raise(place, None, Say::error_if(!literal, "invalid", "canonical", text));
        }
        if let Some(constraint) = ecl::of_value_set(text)
            && let Err(why) = ecl::check(&constraint)
        {
            let text = format!("the value set's expression constraint (ECL) cannot be read: {why}");
            self.raise(place, None, Say::error("invalid", "ecl", text));
        }
        self.example_url(text, place);
    }

    /// Example URLs, where they are not allowed.
    pub fn example_url(&mut self, text: &str, place: &Place<'_>) {
        if !self.options.examples && is_example(text) {
            let text = "example URLs (example.org, acme.com) are not allowed here";
            self.raise(place, None, Say::error("invalid", "example-url", text));
        }
    }

    /// `Narrative`: the XHTML. Where its links lead is looked up when the resource is known (`anchors`).
    pub fn narrative(&mut self, value: &'a Value, place: &Place<'_>, scope: &Scope<'a>) {
        let Some(Value::String(div)) = inner(value, "div") else { return };
        let at = place.plain("div", None);
        let read = xhtml::read(div);
        for fault in read.faults {
            let text = fault.to_string();
            let say = match fault {
                xhtml::Fault::Empty => Say::error("invalid", "txt-2", text),
                // R4 states txt-2 in words, and its own examples have these: see ARCHITECTURE.md
                xhtml::Fault::Blank => Say::warning("invalid", "txt-2", text),
                xhtml::Fault::Text(_) => Say::warning("invalid", "txt-1", text),
                _ => Say::error("invalid", "txt-1", text),
            };
            self.raise(&at, None, say);
        }
        let severity = if self.index.entries.is_empty() { Severity::Error } else { Severity::Warning };
        let ids: HashSet<&str> = if read.links.is_empty() { HashSet::new() } else { read.ids.into_iter().collect() };
        for link in read.links.into_iter().filter(|link| !ids.contains(link)) {
            self.fragments.push((scope.contained_index, link));
            self.anchors.push(Anchor::new(link, "narrative-link", severity, &at));
        }
        for image in read.images {
            self.fragments.push((scope.contained_index, image));
            self.anchors.push(Anchor::new(image, "narrative-link", severity, &at));
        }
    }

    /// `Attachment`: stated size and hash against the data (docs/decisions/validator-01-inline-data.md).
    pub fn attachment(&mut self, value: &'a Value, place: &Place<'_>) {
        let data = inner(value, "data").and_then(Value::as_str);
        let size = inner(value, "size").and_then(Value::as_number).and_then(|size| size.as_str().parse::<usize>().ok());
        if let Some(length) = data.and_then(primitive::base64_length) {
            if size.is_some_and(|size| size != length) {
                let text = format!("the stated size is not that of the data, which has {length} bytes");
                let fix = Some(format!("write \"size\": {length}"));
                let say = Say::error_if(!self.options.doubtful_data, "structure", "attachment-size", text);
                self.raise_with_fix(place, None, say, fix);
            }
            self.attachment_hash(value, data.unwrap_or_default(), place);
        }
    }

    fn attachment_hash(&mut self, value: &'a Value, data: &str, place: &Place<'_>) {
        use base64::Engine as _;
        use sha1::Digest as _;
        let Some(stated) = inner(value, "hash").and_then(Value::as_str) else { return };
        let compact: String = data.split_ascii_whitespace().collect();
        let engine = &base64::engine::general_purpose::STANDARD;
        let Ok(bytes) = engine.decode(compact) else { return };
        if engine.encode(sha1::Sha1::digest(&bytes)) != stated.trim() {
            let text = "the stated hash is not the SHA-1 of the data";
            let say = Say::error_if(!self.options.doubtful_data, "structure", "attachment-hash", text);
            self.raise(&place.plain("hash", None), None, say);
        }
    }
}

/// Whether a URI has a scheme.
pub fn is_absolute(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        !rest.is_empty()
            && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    })
}

/// Whether a URL belongs to the domains that FHIR keeps for examples.
pub fn is_example(text: &str) -> bool {
    text.contains("example.org") || text.contains("acme.com") || text.contains("acme.org")
}

/// `<` followed by a tag's name, as in `<p>` or `</p>`; `a < b` and `<5` are none.
fn looks_like_html(text: &str) -> bool {
    // Looked for once, so that a text of nothing but openings costs a pass and not one a `<`
    let Some(end) = text.rfind('>') else { return false };
    text[..end].match_indices('<').any(|(at, _)| {
        let rest = text[at + 1..].trim_start_matches('/');
        let name = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        name > 0
            && rest.starts_with(|c: char| c.is_ascii_alphabetic())
            && rest[name..].starts_with(|c: char| c == '>' || c == '/' || c.is_ascii_whitespace())
    })
}

/// What to write instead, where only the JSON type is wrong.
fn fix_of(kind: Primitive, value: &Value) -> Option<String> {
    match (kind, value) {
        (Primitive::Boolean, Value::String(text)) if matches!(text.as_str(), "true" | "false") => {
            Some("write it without quotes".to_owned())
        }
        (
            Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt | Primitive::Decimal,
            Value::String(text),
        ) if text.parse::<f64>().is_ok() => Some("write the number without quotes".to_owned()),
        (_, Value::Number(_) | Value::Bool(_)) => Some("put the value in quotes".to_owned()),
        _ => None,
    }
}
