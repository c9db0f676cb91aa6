//! What a rule does with its element: which transform, which nested rules. Where the rule does not say, FHIR's type of
//! the element decides.

use std::sync::Arc;

use super::{
    between,
    compile::{Compiler, Within},
    concepts,
    schema::Cursor,
    shape::Shape,
    target::Resolved,
    yaml::{Data, Node, nearest},
};
use crate::mapping::{
    plan::{Kind, Name},
    transform::{Coded, Form, Transform, Unmapped},
};

const TRANSFORMS: &[&str] =
    &["copy", "code", "concept", "coding", "zoned", "time", "reference", "quantity", "file", "base64"];

impl Compiler<'_> {
    /// The rule's kind; `within` is its element and field (of an item, for a list).
    pub(super) fn kind(&mut self, node: &Node, within: &Within<'_>, list: bool, internal: &[String]) -> Option<Kind> {
        if let Some(constant) = node.get("constant") {
            return Some(Kind::Fixed(constant.json()));
        }
        if node.get("compute").is_some() {
            if node.get("only").and_then(Node::text) != Some("to_fhir") {
                let at = self.place(node, "compute");
                self.mistakes.add(&at, "a computed value runs one way", "add `only: to_fhir`");
            }
            return self.condition(node, "compute").map(Kind::Compute);
        }
        if let Some(contained) = node.get("contained") {
            return self.contained(node, contained, within, internal);
        }
        let nested = node.get("each").or_else(|| node.get("rules"));
        if node.get("each").is_some() && node.get("rules").is_some() {
            self.mistakes.add(&node.at, "`each` and `rules` exclude each other", "`each` is for lists");
        }
        if let (Some(rules), false) = (node.get("rules"), !list) {
            self.mistakes.add(&rules.at, "the field is a list", "use `each` instead of `rules`");
        }
        let by: Vec<Name> = match node.get("by") {
            Some(by) if by.text() == Some("order") => Vec::new(),
            Some(by) => by.texts().unwrap_or_default().iter().map(|name| Name::from(name.as_str())).collect(),
            None => Vec::new(),
        };
        let fragment = match nested {
            Some(_) => None,
            None if self.says_how(node) => None,
            None => self.shared.defaults.get(&within.start.shape.type_name).cloned(),
        };
        if nested.is_none() && fragment.is_none() {
            let transform = self.transform(node, &within.start.shape, within.schema)?;
            return Some(if list { Kind::Values(transform) } else { Kind::Leaf(transform) });
        }
        let before = self.open.len();
        let nodes = match (nested, &fragment) {
            (Some(nested), _) => self.expand(nested, &within.start.shape),
            (None, Some(name)) => self.fragment(name, node, &within.start.shape),
            (None, None) => return None,
        };
        let scope = nodes.map(|nodes| self.scope(&nodes, within));
        self.open.truncate(before);
        let scope = scope?;
        self.checks_of(nested.and_then(Node::text).or(fragment.as_deref()), within);
        if let Some(schema) = within.schema {
            for name in by.iter().filter(|name| schema.field(name).is_none()) {
                let at = self.place(node, "by");
                let fields = schema.fields().join(", ");
                self.mistakes.add(
                    &at,
                    format!("`by` names `{name}`, which the items do not have"),
                    format!("they have: {fields}"),
                );
            }
        }
        Some(if list { Kind::Each { scope, by } } else { Kind::Group(scope) })
    }

    /// The checks of a fragment hold wherever it is used.
    fn checks_of(&mut self, fragment: Option<&str>, within: &Within<'_>) {
        let shared = self.shared;
        let checks = fragment.and_then(|name| shared.fragments.get(name)?.checks.as_ref());
        if let (Some(checks), Some(schema)) = (checks, within.schema) {
            let path: Vec<Name> = within.field.split('.').map(Name::from).collect();
            self.checks.extend(between::read(checks, &path, schema, &mut self.mistakes));
        }
    }

    pub(super) fn says_how(&self, node: &Node) -> bool {
        ["transform", "concepts", "system", "unit"].iter().any(|key| node.get(key).is_some())
    }

    fn contained(&mut self, node: &Node, contained: &Node, within: &Within<'_>, internal: &[String]) -> Option<Kind> {
        let name = contained.text().unwrap_or_default().to_owned();
        let Some(shape) = Shape::of_type(&self.definitions, &name) else {
            self.mistakes.add(&contained.at, format!("`{name}` is no FHIR resource type"), "for instance `Medication`");
            return None;
        };
        if within.start.shape.type_name != "Reference" {
            let at = self.place(node, "target");
            self.mistakes.add(&at, "`contained` needs a reference as its target", "");
        }
        let Some(rules) = node.get("rules") else {
            self.mistakes.add(&contained.at, "`contained` needs `rules` about the contained resource", "");
            return None;
        };
        let mut inner = within.clone();
        inner.start.prefix = format!("{}.contained({name})", within.start.prefix);
        inner.start.shape = shape.clone();
        let before = self.open.len();
        let nodes = self.expand(rules, &shape);
        let scope = nodes.map(|nodes| self.scope(&nodes, &inner));
        self.open.truncate(before);
        let scope = scope?;
        let prefix = internal.last().map_or("contained", String::as_str).replace('_', "-");
        Some(Kind::Contained { resource: name.as_str().into(), prefix: prefix.as_str().into(), scope })
    }

    /// Rules as written, with fragments put in: a fragment's name, or a list in which `- use: NAME` stands for one.
    pub(super) fn expand(&mut self, node: &Node, shape: &Shape) -> Option<Vec<Node>> {
        if let Some(name) = node.text() {
            let name = name.to_owned();
            return self.fragment(&name, node, shape);
        }
        let Some(items) = node.list() else {
            self.mistakes.add(
                &node.at,
                "rules are a list, or the name of a fragment",
                "start each with `- internal: …`",
            );
            return None;
        };
        let mut expanded = Vec::new();
        for item in items {
            match item.get("use").and_then(Node::text) {
                Some(name) => {
                    item.only(&["use"], &mut self.mistakes);
                    let name = name.to_owned();
                    // What is wrong with it is told; the other rules are compiled all the same.
                    expanded.extend(self.fragment(&name, item, shape).unwrap_or_default());
                }
                None => expanded.push(item.clone()),
            }
        }
        Some(expanded)
    }

    fn fragment(&mut self, name: &str, node: &Node, shape: &Shape) -> Option<Vec<Node>> {
        let shared = self.shared;
        let Some(fragment) = shared.fragments.get(name) else {
            let hint = match nearest(name, shared.fragments.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("fragments: {}", shared.fragments.keys().cloned().collect::<Vec<_>>().join(", ")),
            };
            self.mistakes.add(&node.at, format!("there is no fragment `{name}`"), hint);
            return None;
        };
        if self.open.iter().any(|open| open == name) {
            let way = self.open.join(" → ");
            self.mistakes.add(&node.at, format!("the fragments run in a circle: {way} → {name}"), "break the circle");
            return None;
        }
        // A quantity's rules do for ages and durations, an element's for all.
        let family = ["Age", "Count", "Distance", "Duration", "SimpleQuantity", "MoneyQuantity"];
        let fits = fragment.type_name == shape.type_name
            || (fragment.type_name == "Quantity" && family.contains(&shape.type_name.as_str()));
        if !fits {
            let what = format!(
                "the fragment `{name}` is for {}, but here is {}",
                fragment.type_name,
                crate::domain::a(&shape.type_name)
            );
            self.mistakes.add(&node.at, what, "choose another fragment or target");
            return None;
        }
        // Stays open until the rules that it stands in are compiled, so that a circle is found.
        self.open.push(name.to_owned());
        self.expand(&fragment.rules, shape)
    }

    fn transform(&mut self, node: &Node, shape: &Shape, schema: Option<Cursor<'_>>) -> Option<Transform> {
        let type_name = shape.type_name.as_str();
        let coded = node.get("concepts").is_some() || node.get("system").is_some();
        let said = node.text_at("transform", &mut self.mistakes);
        let name = said.unwrap_or(match type_name {
            "CodeableConcept" => "concept",
            "Coding" => "coding",
            "Reference" => "reference",
            "Attachment" => "file",
            "Quantity" | "Age" | "Duration" | "Count" | "Distance" | "SimpleQuantity" if node.get("unit").is_some() => {
                "quantity"
            }
            "dateTime" | "instant" => "time",
            _ if coded => "code",
            _ => "copy",
        });
        let at = self.place(node, if said.is_some() { "transform" } else { "target" });
        match name {
            "copy" => {
                if !shape.is_primitive() && said.is_none() {
                    let hint = "add `rules: [ … ]`, a fragment for this type, or `transform: copy`";
                    self.mistakes.add(
                        &at,
                        format!("it is not said how {} is written", crate::domain::a(type_name)),
                        hint,
                    );
                    return None;
                }
                Some(Transform::Copy)
            }
            "base64" => Some(Transform::Base64),
            "time" | "zoned" => Some(Transform::Time { zoned: name == "zoned" }),
            "reference" => Some(Transform::Reference { to: self.references(node, shape) }),
            "file" => Some(Transform::File),
            "quantity" => match node.text_at("unit", &mut self.mistakes) {
                Some(unit) => Some(Transform::Quantity { unit: unit.into() }),
                None => {
                    self.mistakes.add(&at, "a number needs its `unit`", "add `unit:`, in UCUM");
                    None
                }
            },
            "code" | "coding" | "concept" => {
                self.coded(node, name, schema).map(|coded| Transform::Coded(Arc::new(coded)))
            }
            other => {
                let hint = match nearest(other, TRANSFORMS.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("transforms: {}", TRANSFORMS.join(", ")),
                };
                self.mistakes.add(&at, format!("there is no transform `{other}`"), hint);
                None
            }
        }
    }

    fn references(&mut self, node: &Node, shape: &Shape) -> Vec<Name> {
        let Some(to) = node.get("to") else { return Vec::new() };
        let mut names = Vec::new();
        for name in to.texts().unwrap_or_default() {
            match self.objects.type_of.get(name.as_str()).cloned() {
                None => {
                    let hint = match nearest(&name, self.objects.type_of.keys().map(|name| &**name)) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "name a folder of mappings/".to_owned(),
                    };
                    self.mistakes.add(&to.at, format!("there is no object `{name}`"), hint);
                }
                Some(kind) => {
                    let open = shape.targets.is_empty() || shape.targets.iter().any(|target| target == "Resource");
                    if !open && !shape.targets.iter().any(|target| **target == *kind) {
                        let what = format!("a reference here cannot point to `{name}` ({kind})");
                        self.mistakes.add(&to.at, what, format!("FHIR allows: {}", shape.targets.join(", ")));
                    }
                    names.push(Name::from(name.as_str()));
                }
            }
        }
        names
    }

    fn coded(&mut self, node: &Node, name: &str, schema: Option<Cursor<'_>>) -> Option<Coded> {
        let form = match name {
            "code" => Form::Code,
            "coding" => Form::Coding,
            _ => Form::Concept,
        };
        let system = node.text_at("system", &mut self.mistakes).map(str::to_owned);
        let system = system.map(|name| self.shared.systems.get(&name).cloned().unwrap_or(name));
        let codes = match node.get("concepts") {
            Some(table) if table.is_map() => Some(concepts::table(table, system.as_deref(), &mut self.mistakes)),
            Some(named) => {
                let name = named.text().unwrap_or_default();
                let found = self.shared.concepts.get(name).cloned();
                if found.is_none() {
                    let hint = match nearest(name, self.shared.concepts.keys().map(String::as_str)) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("make mappings/concepts/{name}.json, or write a table `{{ word: code }}`"),
                    };
                    self.mistakes.add(&named.at, format!("there is no code list `{name}`"), hint);
                    return None;
                }
                found
            }
            None => None,
        };
        if codes.is_none() && system.is_none() {
            let at = self.place(node, "transform");
            self.mistakes.add(&at, "a code needs `concepts` or `system`", "name a code list, or the code's system");
            return None;
        }
        let unmapped = match node.get("unmapped").map(|node| (node.text(), node)) {
            None | Some((Some("keep"), _)) => Unmapped::Keep,
            Some((Some("carry"), _)) => Unmapped::Carry,
            Some((_, node)) => match node.get("value") {
                Some(word) => Unmapped::Word(word.json()),
                None => {
                    self.mistakes.add(&node.at, "`unmapped` is `keep`, `carry` or `value: WORD`", "");
                    Unmapped::Keep
                }
            },
        };
        let coded = Coded { form, codes, system, unmapped };
        self.words(node, &coded, schema);
        Some(coded)
    }

    /// The schema's words and the list's words must be the same.
    fn words(&mut self, node: &Node, coded: &Coded, schema: Option<Cursor<'_>>) {
        let (Some(codes), Some(words)) = (&coded.codes, schema.and_then(Cursor::words)) else { return };
        let at = self.place(node, "concepts");
        for word in words.iter().filter(|word| codes.row_of_word(word).is_none()) {
            let what = format!("the schema allows {word}, which the code list {} does not know", codes.name);
            self.mistakes.add(&at, what, "add a row, or remove the word from the schema");
        }
        for word in codes.words().into_iter().filter(|word| !words.contains(word)) {
            let what = format!("the code list {} has {word}, which the schema does not allow", codes.name);
            self.mistakes.add(&at, what, "add the word to the schema's `enum`, or remove the row");
        }
    }

    /// The transform and the field's schema must fit the element's type.
    pub(super) fn type_clash(&mut self, node: &Node, kind: &Kind, resolved: &Resolved, schema: Option<Cursor<'_>>) {
        let (Kind::Leaf(transform) | Kind::Values(transform)) = kind else { return };
        let type_name = resolved.shape.type_name.as_str();
        let wanted: &[&str] = match transform {
            Transform::Copy => &[],
            Transform::Coded(coded) => match coded.form {
                Form::Code => &[
                    "code",
                    "string",
                    "uri",
                    "boolean",
                    "integer",
                    "positiveInt",
                    "markdown",
                    "canonical",
                    "url",
                    "id",
                ],
                Form::Coding => &["Coding"],
                Form::Concept => &["CodeableConcept"],
            },
            Transform::Time { .. } => &["dateTime", "instant", "date"],
            Transform::Base64 => &["base64Binary"],
            Transform::Reference { .. } => &["Reference"],
            Transform::Quantity { .. } => &["Quantity", "Age", "Duration", "Count", "Distance", "SimpleQuantity"],
            Transform::File => &["Attachment"],
        };
        let at = self.place(node, "target");
        if !wanted.is_empty() && !wanted.contains(&type_name) {
            let what = format!("the transform `{}` does not fit {}", transform.name(), crate::domain::a(type_name));
            self.mistakes.add(&at, what, format!("it is for {}", wanted.join(", ")));
        }
        let Some(said) = schema.and_then(Cursor::kind) else { return };
        let given: &[&str] = match (transform, type_name) {
            (Transform::Copy, "boolean") => &["boolean"],
            (Transform::Copy, "integer" | "positiveInt" | "unsignedInt") => &["integer"],
            (Transform::Copy, "decimal") => &["number", "integer"],
            (Transform::Copy, name) if name.starts_with(char::is_lowercase) => &["string"],
            (Transform::Quantity { .. }, _) => &["number", "integer"],
            (Transform::Time { .. } | Transform::Base64, _) => &["string"],
            (Transform::Reference { .. } | Transform::File, _) => &["object"],
            _ => &[],
        };
        if !given.is_empty() && !given.contains(&said) {
            let what = format!(
                "the field is {} in the schema, but the element is {}",
                crate::domain::a(said),
                crate::domain::a(type_name)
            );
            self.mistakes.add(
                &at,
                what,
                format!("let the schema say `\"type\": \"{}\"`, or choose another element", given[0]),
            );
        }
        if let (Some(default), Some(words)) = (node.get("default"), schema.and_then(Cursor::words))
            && let Data::Scalar(value) = &default.data
            && !words.contains(value)
        {
            self.mistakes.add(&default.at, "the schema does not allow this default", "use one of its words");
        }
    }
}
