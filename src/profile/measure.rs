//! Measure by itself: that its criteria in CQL can be found in the libraries it names. A MeasureReport against its Measure:
//! `measure_report`. <https://hl7.org/fhir/R4/measure.html>

use std::sync::Arc;

use base64::Engine as _;
use serde_json::Value;

use super::{place::Place, say::Say, walk::Walk};
use crate::fhir::{list, text};

/// The libraries that a measure names.
struct Libraries {
    named: usize,
    found: Vec<Arc<Value>>,
}

impl<'a> Walk<'a> {
    /// A `Measure`.
    pub fn measure(&mut self, measure: &'a Value, place: &Place<'_>) {
        let names = list(measure, "library");
        let found = names.iter().filter_map(|name| self.library(measure, name.as_str()?)).collect();
        let libraries = Libraries { named: names.len(), found };
        let groups = list(measure, "group");
        if groups.is_empty() {
            let text = "the measure has no group, so nothing can be reported on it";
            return self.raise(place, None, Say::warning("required", "measure-group", text));
        }
        for (index, group) in groups.iter().enumerate() {
            let at = place.plain("group", Some(index));
            if groups.len() > 1 && group.get("code").is_none() {
                let text = "of several groups each needs a code, so that a report can name it";
                self.raise(&at, None, Say::warning("required", "measure-code", text));
            }
            for name in ["population", "stratifier"] {
                let parts = list(group, name);
                for (index, part) in parts.iter().enumerate() {
                    let at = at.plain(name, Some(index));
                    if parts.len() > 1 && part.get("code").is_none() {
                        let text = format!("of several {name}s each needs a code, so that a report can name it");
                        self.raise(&at, None, Say::warning("required", "measure-code", text));
                    }
                    self.criteria(&libraries, part, &at);
                    for (index, component) in list(part, "component").iter().enumerate() {
                        self.criteria(&libraries, component, &at.plain("component", Some(index)));
                    }
                }
            }
        }
    }

    fn library(&self, measure: &Value, canonical: &str) -> Option<Arc<Value>> {
        let found = match canonical.strip_prefix('#') {
            Some(id) => {
                Arc::new(list(measure, "contained").iter().find(|inner| text(inner, "id") == Some(id))?.clone())
            }
            None => self.types.definitions.resource(canonical)?,
        };
        (text(&found, "resourceType") == Some("Library")).then_some(found)
    }

    /// A criterion in CQL names a definition of one of the libraries, as `Library.definition` where there are several.
    fn criteria(&mut self, libraries: &Libraries, holder: &Value, place: &Place<'_>) {
        let Some(criteria) = holder.get("criteria") else { return };
        if !matches!(text(criteria, "language"), Some("text/cql" | "text/cql.identifier" | "text/cql-identifier")) {
            return;
        }
        let at = place.plain("criteria", None);
        if libraries.named == 0 {
            let text = "the criterion is written in CQL, and the measure names no library";
            return self.raise(&at, None, Say::error("invalid", "measure-library", text));
        }
        // What is not at hand cannot be looked into
        if libraries.found.len() < libraries.named {
            let text = "not all libraries of the measure are at hand, so its criterion was not looked up";
            return self.raise(&at, None, Say::information("not-supported", "measure-library", text));
        }
        let Some(expression) = text(criteria, "expression") else { return };
        // A whole CQL expression is more than a name: only the engine that compiles it can tell
        if expression.contains(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '=')) && !expression.contains('"')
        {
            return;
        }
        let plain = expression.trim().trim_matches('"');
        let (library, name) = match expression.split_once('.') {
            Some((library, name)) => (Some(library.trim_matches('"')), name.trim_matches('"')),
            None => (None, plain),
        };
        let library = match (library, libraries.found.as_slice()) {
            (None, [only]) => only,
            (None, _) => {
                let text = "the measure has several libraries, so the criterion must say whose definition it means";
                return self.raise(&at, None, Say::error("invalid", "measure-library", text));
            }
            (Some(wanted), found) => {
                let mut named = found.iter().filter(|library| text(library, "name") == Some(wanted));
                match (named.next(), named.next()) {
                    (Some(library), None) => library,
                    (Some(_), Some(_)) => {
                        let text = "several libraries of the measure have the name that the criterion gives";
                        return self.raise(&at, None, Say::error("invalid", "measure-library", text));
                    }
                    (None, _) => {
                        let text = "no library of the measure has the name that the criterion gives";
                        return self.raise(&at, None, Say::error("invalid", "measure-library", text));
                    }
                }
            }
        };
        if defines(library, name) == Some(false) {
            let text = "the library has no definition of the name that the criterion gives";
            self.raise(&at, None, Say::error("invalid", "measure-definition", text));
        }
    }
}

/// Whether a library's compiled form (ELM as XML or JSON) defines a name; none if it has no compiled form.
fn defines(library: &Value, name: &str) -> Option<bool> {
    let mut compiled = list(library, "content").iter().filter_map(|content| {
        let kind = text(content, "contentType")?;
        let data: String = text(content, "data")?.split_ascii_whitespace().collect();
        let bytes = base64::engine::general_purpose::STANDARD.decode(data).ok()?;
        let elm = String::from_utf8(bytes).ok()?;
        match kind {
            "application/elm+xml" => Some(elm.contains(&format!("name=\"{}\"", name.replace('&', "&amp;")))),
            "application/elm+json" => {
                let statements = crate::fhir::read_str(&elm).ok()?;
                let defined = list(statements.get("library")?.get("statements")?, "def");
                Some(defined.iter().any(|one| text(one, "name") == Some(name)))
            }
            _ => None,
        }
    });
    compiled.next()
}
