//! A mapping for other engines: a FHIR StructureMap each way and the ConceptMaps it uses, and a list of what StructureMap
//! cannot say. <https://hl7.org/fhir/R4/structuremap.html>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Plan,
    loss::join,
    plan::{Direction, Kind, Rule, Scope},
    transform::{Codes, Row, Transform, Unmapped},
};

/// What was exported.
#[derive(Clone, Debug)]
pub struct Export {
    /// StructureMap and ConceptMap resources.
    pub resources: Vec<Value>,
    /// What could not be expressed: `file:line` and why.
    pub not_expressed: Vec<(String, String)>,
}

struct Exporter {
    not_expressed: Vec<(String, String)>,
    concepts: BTreeMap<String, Value>,
}

impl Plan {
    /// The mapping as FHIR resources.
    #[must_use]
    pub fn export(&self) -> Export {
        let mut exporter = Exporter { not_expressed: Vec::new(), concepts: BTreeMap::new() };
        let to_fhir = self.structure_map(&mut exporter, true);
        let to_internal = self.structure_map(&mut exporter, false);
        exporter.not_expressed.push((
            String::new(),
            "writing into an existing resource (only what differs, all else kept) is beyond StructureMap".to_owned(),
        ));
        exporter.not_expressed.sort();
        exporter.not_expressed.dedup();
        let mut resources = vec![to_fhir, to_internal];
        // A file must tell by itself what it lacks: whoever gets it has not seen what stood on stderr.
        let lacks: String = exporter
            .not_expressed
            .iter()
            .map(|(rule, what)| if rule.is_empty() { format!("\n- {what}") } else { format!("\n- {what} ({rule})") })
            .collect();
        for map in &mut resources {
            if let Some(Value::String(description)) = map.get_mut("description") {
                description.push_str("\n\nNot expressed here:\n");
                description.push_str(&lacks);
            }
        }
        resources.extend(exporter.concepts.into_values());
        Export { resources, not_expressed: exporter.not_expressed }
    }

    fn structure_map(&self, exporter: &mut Exporter, to_fhir: bool) -> Value {
        let way = if to_fhir { "to-fhir" } else { "to-internal" };
        let name = format!("{}-{}-{way}", self.object, self.dialect);
        let groups: Vec<Value> = self
            .parts
            .iter()
            .filter(|part| !part.scope.rules.is_empty())
            .map(|part| {
                let (object, resource) = (json!("object"), json!(&*part.role));
                let (source, target) = if to_fhir { (&object, &resource) } else { (&resource, &object) };
                json!({
                    "name": format!("{}-{}", self.object, part.role),
                    "typeMode": "none",
                    "input": [
                        { "name": source, "mode": "source" },
                        { "name": target, "mode": "target" }
                    ],
                    "rule": exporter.rules(&part.scope, "", source, target, to_fhir),
                })
            })
            .collect();
        json!({
            "resourceType": "StructureMap",
            "id": name,
            "url": format!("urn:liaison:structure-map:{name}"),
            "name": machine_name(&name),
            "status": "active",
            "description": format!("{} ({way}), exported from Liaison's mapping {}", self.title, self.version),
            "structure": self.parts.iter().map(|part| json!({
                "url": format!("http://hl7.org/fhir/StructureDefinition/{}", part.resource),
                "mode": if to_fhir { "target" } else { "source" },
            })).collect::<Vec<_>>(),
            "group": groups,
        })
    }
}

impl Exporter {
    fn rules(&mut self, scope: &Scope, field: &str, source: &Value, target: &Value, to_fhir: bool) -> Vec<Value> {
        let skipped = if to_fhir { Direction::ToInternal } else { Direction::ToFhir };
        let wanted = scope.rules.iter().filter(|rule| rule.direction != skipped);
        wanted.enumerate().map(|(index, rule)| self.rule(rule, index, field, source, target, to_fhir)).collect()
    }

    fn rule(&mut self, rule: &Rule, index: usize, field: &str, source: &Value, target: &Value, to_fhir: bool) -> Value {
        let told = self.not_expressed.len();
        let field = join(field, &rule.internal);
        let path: String = rule.target.text.split('.').skip(1).collect::<Vec<_>>().join(".");
        let variable = format!("v{index}");
        if path.contains('[') {
            self.cannot(rule, "which item of a list is meant (the selector stands in the element's name)");
        }
        if rule.default.is_some() {
            self.cannot(rule, "that a default holds in both directions");
        }
        let name = if field.is_empty() { path.clone() } else { field.clone() };
        let (from, to) = if to_fhir { (&field, &path) } else { (&path, &field) };
        let mut made = json!({ "name": id_of(&name) });
        let mut read = json!({ "context": source, "element": from, "variable": variable });
        if from.is_empty() {
            read = json!({ "context": source });
        }
        if let Some(condition) = rule.condition.as_ref().filter(|_| to_fhir) {
            read["condition"] = condition.text().into();
        }
        let mut write = json!({ "context": target, "contextType": "variable", "element": to });
        if to.is_empty() {
            write = json!({ "context": target, "contextType": "variable" });
        }
        let (transform, parameters) = self.transform(rule, &variable, to_fhir);
        let lacks: Vec<&str> = self.not_expressed[told..].iter().map(|(_, what)| what.as_str()).collect();
        let lacks = if lacks.is_empty() { String::new() } else { format!("; not expressed: {}", lacks.join("; ")) };
        made["documentation"] = format!("{}{lacks}", rule.at).into();
        write["transform"] = transform.into();
        if !parameters.is_empty() {
            write["parameter"] = parameters.into();
        }
        if let Kind::Group(inner) | Kind::Each { scope: inner, .. } | Kind::Contained { scope: inner, .. } = &rule.kind
        {
            let inside = json!(format!("{variable}-made"));
            write["variable"] = inside.clone();
            made["rule"] = self.rules(inner, "", &json!(variable), &inside, to_fhir).into();
        }
        made["source"] = json!([read]);
        made["target"] = json!([write]);
        made
    }

    fn transform(&mut self, rule: &Rule, variable: &str, to_fhir: bool) -> (&'static str, Vec<Value>) {
        let copy = || ("copy", vec![json!({ "valueId": variable })]);
        match &rule.kind {
            Kind::Group(_) | Kind::Each { .. } => ("create", vec![json!({ "valueString": &*rule.target.type_name })]),
            Kind::Contained { resource, .. } => {
                self.cannot(rule, "that the resource is contained");
                ("create", vec![json!({ "valueString": &**resource })])
            }
            Kind::Compute(expression) => ("evaluate", vec![json!({ "valueString": expression.text() })]),
            Kind::Fixed(value) => ("copy", vec![json!({ "valueString": value.to_string() })]),
            Kind::Leaf(transform) | Kind::Values(transform) => match transform {
                Transform::Copy => copy(),
                Transform::Coded(coded) => match &coded.codes {
                    Some(codes) => {
                        let id = self.concept_map(codes, &coded.unmapped, to_fhir);
                        let parameters = vec![
                            json!({ "valueId": variable }),
                            json!({ "valueString": id }),
                            json!({ "valueString": "code" }),
                        ];
                        ("translate", parameters)
                    }
                    None => ("c", vec![json!({ "valueString": coded.system }), json!({ "valueId": variable })]),
                },
                Transform::Time { .. } => {
                    self.cannot(rule, "the zone of a time (the tz-code extension beside it)");
                    copy()
                }
                Transform::Reference { .. } => {
                    self.cannot(rule, "logical references by our identifiers");
                    ("reference", vec![json!({ "valueId": variable })])
                }
                Transform::Quantity { unit } => {
                    ("qty", vec![json!({ "valueId": variable }), json!({ "valueString": &**unit })])
                }
                Transform::Base64 | Transform::File => {
                    self.cannot(rule, "the content of attachments");
                    copy()
                }
            },
        }
    }

    fn cannot(&mut self, rule: &Rule, what: &str) {
        self.not_expressed.push((rule.at.to_string(), what.to_owned()));
    }

    fn concept_map(&mut self, codes: &Codes, unmapped: &Unmapped, to_fhir: bool) -> String {
        let way = if to_fhir { "to-fhir" } else { "to-internal" };
        let name: String =
            codes.name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect();
        let id = format!("{name}-{way}");
        let map = json!({
            "resourceType": "ConceptMap",
            "id": id,
            "url": format!("urn:liaison:concept-map:{id}"),
            "status": "active",
            "description": "Exported from Liaison. Where several rows start from one code, the one that is equal or \
                            equivalent is meant; ConceptMap has no order of preference.",
            "group": groups(codes, unmapped, to_fhir),
        });
        self.concepts.entry(id.clone()).or_insert(map);
        id
    }
}

/// The rows, by code system.
fn groups(codes: &Codes, unmapped: &Unmapped, to_fhir: bool) -> Vec<Value> {
    let mut systems: Vec<Option<&str>> = Vec::new();
    for row in &codes.rows {
        if !systems.contains(&row.system.as_deref()) {
            systems.push(row.system.as_deref());
        }
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let group = |system: &Option<&str>| {
        let of_system = |row: &&Row| row.system.as_deref() == *system;
        let rows = codes.rows.iter().filter(of_system).map(|row| {
            let (from, to) = if to_fhir { (&row.word, &row.code) } else { (&row.code, &row.word) };
            json!({ "code": text(from), "target": [{ "code": text(to), "equivalence": row.equivalence }] })
        });
        let mut group = json!({ "element": rows.collect::<Vec<_>>() });
        if let Some(system) = system {
            group[if to_fhir { "target" } else { "source" }] = (*system).into();
        }
        match unmapped {
            Unmapped::Word(word) if !to_fhir => group["unmapped"] = json!({ "mode": "fixed", "code": text(word) }),
            Unmapped::Carry => group["unmapped"] = json!({ "mode": "provided" }),
            _ => {}
        }
        group
    };
    systems.iter().map(group).collect()
}

/// A name for machines: a capital first, then letters, digits and `_`.
fn machine_name(name: &str) -> String {
    let mut letters = name.replace('-', "_");
    if let Some(first) = letters.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    letters
}

/// A rule's name as an id: letters, digits, `-` and `.`, at most 64.
fn id_of(name: &str) -> String {
    let letters = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' });
    letters.take(64).collect()
}
