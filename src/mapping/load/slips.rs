//! Small slips that would otherwise pass without a word, because what is written is possible but cannot be meant: a unit where
//! there is no quantity, a code system that nobody knows, a default of another type, an extension without its URL.

use serde_json::Value;

use super::{
    compile::Compiler,
    path::Segment,
    schema::Cursor,
    yaml::{Mistakes, Node, Place, nearest},
};
use crate::{
    fhir::{Limits, Positions},
    mapping::{plan::Kind, transform::Transform},
};

impl Compiler<'_> {
    /// Tells what of a rule cannot be meant.
    pub(super) fn slips(&mut self, node: &Node, kind: &Kind, segments: &[Segment], schema: Option<Cursor<'_>>) {
        let quantity =
            matches!(kind, Kind::Leaf(Transform::Quantity { .. }) | Kind::Values(Transform::Quantity { .. }));
        if let Some(unit) = node.get("unit").filter(|_| !quantity) {
            self.mistakes.add(&unit.at, "`unit` is for quantities, and this element is none", "leave it out");
        }
        if let Some(system) = node.get("system")
            && let Some(name) = system.text().filter(|name| !name.contains(':'))
            && !self.shared.systems.contains_key(name)
        {
            let hint = match nearest(name, self.shared.systems.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write its URI, or give it a short name in concepts/systems.yaml".to_owned(),
            };
            self.mistakes.add(&system.at, format!("no code system is called `{name}`"), hint);
        }
        let bare = |(at, segment): &(usize, &Segment)| {
            let name = segment.name.as_str();
            (name == "extension" || name == "modifierExtension") && segment.tests.is_empty() && at + 1 < segments.len()
        };
        if segments.iter().enumerate().any(|found| bare(&found)) {
            let at = self.place(node, "target");
            self.mistakes.add(&at, "it is not said which extension", "write `extension('URL')`");
        }
        self.default_fits(node, schema);
        let unmapped = node.get("unmapped").and_then(|unmapped| unmapped.get("value"));
        if let (Some(word), Some(words)) = (unmapped, schema.and_then(Cursor::words))
            && !words.contains(&word.json())
        {
            self.mistakes.add(&word.at, "the schema does not allow this word", "use one of its words");
        }
    }

    fn default_fits(&mut self, node: &Node, schema: Option<Cursor<'_>>) {
        let (Some(default), Some(wanted)) = (node.get("default"), schema.and_then(Cursor::kind)) else { return };
        let said = default.json();
        let fits = match (wanted, &said) {
            ("integer" | "number", said) => said.is_number(),
            ("string", said) => said.is_string(),
            ("boolean", said) => said.is_boolean(),
            ("array", said) => said.is_array(),
            ("object", said) => said.is_object(),
            _ => true,
        };
        // In a list, `default` may be about the list while the schema here is the items'.
        if !fits && !said.is_array() {
            let hint = format!("the schema says `\"type\": \"{wanted}\"`");
            self.mistakes.add(&default.at, "the default is of another type than the field", hint);
        }
    }
}

/// A field that is named outside of the rules (`reread`, `transitions`) must be one of the schema's.
pub(super) fn field(node: &Node, schema: Cursor<'_>, mistakes: &mut Mistakes) {
    let Some(name) = node.text() else { return };
    let first = name.split('.').next().unwrap_or(name);
    if schema.field(first).is_some() {
        return;
    }
    let names = schema.fields();
    let hint = match nearest(first, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it has: {}", names.join(", ")),
    };
    mistakes.add(&node.at, format!("the schema has no field `{name}`"), hint);
}

/// Shapes that an object's schema refers to and that there are none of, each with its place. Whether there were any.
pub(super) fn unknown_shapes(path: &str, text: &str, raw: &Value, common: &Value, mistakes: &mut Mistakes) -> bool {
    let known = |name: &str| [raw, common].iter().any(|schema| schema["$defs"].get(name).is_some());
    let mut found = Vec::new();
    references(raw, "", &mut found);
    found.retain(|(_, name)| !known(name));
    let positions = Positions::of(text.as_bytes(), Limits::default());
    for (pointer, name) in &found {
        let (line, column) = positions.find(pointer);
        let shapes = common["$defs"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        let hint = match nearest(name, shapes.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("shapes of common.schema.json: {}", shapes.collect::<Vec<_>>().join(", ")),
        };
        let at = Place { file: path.into(), line, column };
        mistakes.add(&at, format!("there is no shape `{name}`"), hint);
    }
    !found.is_empty()
}

/// Pointers of all `$ref` to a `$defs`, and the names.
fn references(schema: &Value, pointer: &str, found: &mut Vec<(String, String)>) {
    match schema {
        Value::Object(members) => {
            for (name, inner) in members {
                let at = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                if let (true, Some(target)) = (name == "$ref", inner.as_str())
                    && let Some((_, shape)) = target.split_once("#/$defs/")
                {
                    found.push((at, shape.to_owned()));
                } else {
                    references(inner, &at, found);
                }
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| references(item, &format!("{pointer}/{at}"), found));
        }
        _ => {}
    }
}
