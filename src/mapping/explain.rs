//! Where each value of an output comes from: for every leaf the rule with file and line, the field it was made from, and
//! the row of the code list. Told from the finished output and the rules, so that running a mapping carries no tracing.

use serde_json::Value;

use super::{
    Context, Part, Plan,
    plan::{Direction, Kind, Leaf, Rule, Scope, Step, Target},
    run,
    transform::{Coded, ElementRef, Env, Form, Transform},
};
use crate::fhir::Object;

/// Where one leaf came from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Origin {
    /// Role of the part that it stands in; empty for an internal object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub part: String,
    /// JSON pointer to the leaf.
    pub output: String,
    /// JSON pointer to the source in the other side; empty for constants.
    pub source: String,
    /// `file:line` of the rule.
    pub rule: String,
    /// How: the transform, `constant`, `new item`, `computed`, `identity`, `default`.
    pub how: String,
    /// The row of the code list, `name: word → code`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concept: Option<String>,
    /// The rule's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
}

/// Leaves of one output, by rule.
struct Teller<'a> {
    env: Env<'a>,
    /// Told are leaves of the FHIR side (else of the internal side).
    to_fhir: bool,
    part: String,
    origins: Vec<Origin>,
}

impl Plan {
    /// The origins of every leaf of the FHIR side that was made of `internal`, in the resource's order.
    #[must_use]
    pub fn explain_fhir(&self, parts: &[Part], internal: &Value, context: &Context) -> Vec<Origin> {
        let resources: Vec<&Value> = parts.iter().map(|part| &part.resource).collect();
        let env = self.env(context, &resources);
        let mut all = Vec::new();
        for part in parts {
            let Some(plan) = self.parts.iter().find(|plan| plan.role == part.role) else { continue };
            let mut teller = Teller { env, to_fhir: true, part: part.role.to_string(), origins: Vec::new() };
            if let Some(members) = part.resource.as_object() {
                teller.scope(&plan.scope, members, "", "");
            }
            all.extend(self.complete(part, teller.origins, internal));
        }
        all
    }

    /// The origins of every leaf of the internal object that was read from `parts`.
    #[must_use]
    pub fn explain_internal(&self, internal: &Value, parts: &[Part], context: &Context) -> Vec<Origin> {
        let resources: Vec<&Value> = parts.iter().map(|part| &part.resource).collect();
        let env = self.env(context, &resources);
        let mut told = Vec::new();
        for part in parts {
            let Some(plan) = self.parts.iter().find(|plan| plan.role == part.role) else { continue };
            let mut teller = Teller { env, to_fhir: false, part: part.role.to_string(), origins: Vec::new() };
            if let Some(members) = part.resource.as_object() {
                teller.scope(&plan.scope, members, "", "");
            }
            told.extend(teller.origins);
        }
        leaves_of(internal)
            .into_iter()
            .map(|leaf| self.origin_of(&leaf, &told).unwrap_or_else(|| self.by_default(&leaf)))
            .collect()
    }

    fn origin_of(&self, leaf: &str, told: &[Origin]) -> Option<Origin> {
        let covers = |origin: &&Origin| leaf == origin.output || leaf.starts_with(&format!("{}/", origin.output));
        let nearest = told.iter().filter(covers).max_by_key(|origin| origin.output.len())?;
        Some(Origin { output: leaf.to_owned(), ..nearest.clone() })
    }

    fn by_default(&self, leaf: &str) -> Origin {
        let field: Vec<&str> = leaf.split('/').skip(1).filter(|step| step.parse::<usize>().is_err()).collect();
        let rule = self.rule_of_field(&field.join(".")).unwrap_or_default();
        let (output, how) = (leaf.to_owned(), "default".to_owned());
        Origin { part: String::new(), output, source: String::new(), rule, how, concept: None, doc: None }
    }

    /// Every leaf of a part: those of rules, else constants, else what a new item or the part itself brought.
    fn complete(&self, part: &Part, told: Vec<Origin>, internal: &Value) -> Vec<Origin> {
        let paths = self.rule_paths();
        let index = self.part_index(&part.role).unwrap_or(0);
        let head = self
            .parts
            .first()
            .and_then(|main| main.scope.rules.first())
            .map(|rule| rule.at.to_string())
            .unwrap_or_default();
        let bare = |output: String, rule: String, how: &str, source: String| Origin {
            part: part.role.to_string(),
            output,
            source,
            rule,
            how: how.to_owned(),
            concept: None,
            doc: None,
        };
        leaves_of(&part.resource)
            .into_iter()
            .map(|leaf| {
                if let Some(origin) = self.origin_of(&leaf, &told) {
                    return origin;
                }
                let names: Vec<&str> = leaf
                    .split('/')
                    .skip(1)
                    .filter(|step| step.parse::<usize>().is_err())
                    .map(|step| step.trim_start_matches('_'))
                    .collect();
                let path = names.join(".");
                let inside = |own: &str| path == own || path.starts_with(&format!("{own}."));
                let constant = self.constants.iter().find(|constant| {
                    let mine = paths.iter().filter(|own| own.part == index && own.rule == constant.at.to_string());
                    mine.into_iter().any(|own| inside(&own.path))
                });
                if let Some(constant) = constant {
                    return bare(leaf, constant.at.to_string(), "constant", String::new());
                }
                let link = self.links.iter().any(|link| link.target.part == index && inside(&names_of(&link.target)));
                if link && internal.get("id").is_some() {
                    return bare(leaf, head.clone(), "link to the main resource", "/id".to_owned());
                }
                // What a selector or a transform's element brings along belongs to the nearest rule about it.
                let near = paths
                    .iter()
                    .filter(|own| own.part == index && !own.rule.is_empty())
                    .max_by_key(|own| own.path.split('.').zip(&names).take_while(|(a, b)| a == *b).count());
                let shares = near.is_some_and(|own| own.path.split('.').next() == names.first().copied());
                match near.filter(|_| shares) {
                    Some(own) => bare(leaf, own.rule.clone(), "new item", String::new()),
                    None => bare(leaf, head.clone(), "the resource itself", String::new()),
                }
            })
            .collect()
    }
}

fn names_of(target: &Target) -> String {
    target.text.split('.').skip(1).map(|name| name.split('[').next().unwrap_or(name)).collect::<Vec<_>>().join(".")
}

/// Pointers to all leaves.
fn leaves_of(value: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                members.iter().for_each(|(name, inner)| walk(inner, &format!("{at}/{name}"), found))
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, inner)| walk(inner, &format!("{at}/{index}"), found))
            }
            Value::Null => {}
            _ => found.push(at.to_owned()),
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}

impl Teller<'_> {
    fn scope(&mut self, scope: &Scope, members: &Object, at: &str, field: &str) {
        for rule in &scope.rules {
            let wrong_way = if self.to_fhir { Direction::ToInternal } else { Direction::ToFhir };
            if rule.direction != wrong_way {
                self.rule(rule, members, at, field);
            }
        }
    }

    fn rule(&mut self, rule: &Rule, members: &Object, at: &str, field: &str) {
        let field = rule.internal.iter().fold(field.to_owned(), |field, name| format!("{field}/{name}"));
        let Some((owner, at)) = way(members, &rule.target.steps, at, &self.env) else { return };
        match &rule.target.leaf {
            Leaf::Here => self.element(rule, ElementRef { value: None, beside: None }, Some(owner), &at, None, &field),
            Leaf::Member { name, beside, .. } => {
                let beside = beside.as_ref().map(|beside| (beside, owner.get(&**beside)));
                let element = ElementRef { value: owner.get(&**name), beside: beside.and_then(|(_, value)| value) };
                let beside_at = beside.map(|(name, _)| format!("{at}/{name}"));
                self.element(rule, element, None, &format!("{at}/{name}"), beside_at, &field);
            }
            Leaf::List { name, beside, select } => {
                let none = Vec::new();
                let list = |name: &str| owner.get(name).and_then(Value::as_array).unwrap_or(&none);
                let items = list(name);
                let mut seen = 0;
                for (index, item) in items.iter().enumerate() {
                    let at_beside = beside.as_ref().and_then(|beside| list(beside).get(index));
                    let element = ElementRef { value: Some(item), beside: at_beside };
                    if run::read_item(element, index, rule, select, &self.env).is_none() {
                        continue;
                    }
                    let field = format!("{field}/{seen}");
                    seen += 1;
                    let beside_at = beside.as_ref().map(|beside| format!("{at}/{beside}/{index}"));
                    self.element(rule, element, None, &format!("{at}/{name}/{index}"), beside_at, &field);
                }
            }
        }
    }

    fn element(
        &mut self,
        rule: &Rule,
        element: ElementRef<'_>,
        here: Option<&Object>,
        at: &str,
        beside: Option<String>,
        field: &str,
    ) {
        let members = here.or_else(|| element.value.and_then(Value::as_object));
        if rule.absent.is_some() && run::is_marker(element) {
            if self.to_fhir {
                self.tell(rule, at, "", "absent", None);
                if let Some(beside) = beside {
                    self.tell(rule, &beside, "", "absent", None);
                }
            }
            return;
        }
        match &rule.kind {
            Kind::Group(inner) | Kind::Each { scope: inner, .. } => {
                if let Some(members) = members {
                    self.scope(inner, members, at, field);
                }
            }
            Kind::Contained { scope: inner, resource, .. } => {
                let whole = here.map(|members| Value::Object(members.clone()));
                let reference = whole.as_ref().or(element.value);
                let Some(reference) = reference else { return };
                self.tell(rule, at, field, "contained", None);
                let list = self.env.resources.iter().find_map(|resource| resource.get("contained")?.as_array());
                let id = reference.get("reference").and_then(Value::as_str).and_then(|text| text.strip_prefix('#'));
                let found = list.into_iter().flatten().enumerate().find(|(_, contained)| {
                    contained.get("resourceType").is_some_and(|own| own == &**resource)
                        && contained.get("id").and_then(Value::as_str) == id
                });
                if let Some((index, Value::Object(members))) = found {
                    self.scope(inner, members, &format!("/contained/{index}"), field);
                    if self.to_fhir {
                        self.tell(rule, &format!("/contained/{index}"), field, "contained", None);
                    }
                }
            }
            Kind::Leaf(transform) | Kind::Values(transform) => {
                let concept = match transform {
                    Transform::Coded(coded) => {
                        let whole = here.map(|members| Value::Object(members.clone()));
                        whole.as_ref().or(element.value).and_then(|value| row(coded, value))
                    }
                    _ => None,
                };
                let there = here.is_some() || element.value.is_some();
                if there {
                    self.tell(rule, at, field, transform.name(), concept);
                }
                if let Some(beside) = beside.filter(|_| self.to_fhir && element.beside.is_some()) {
                    self.tell(rule, &beside, field, transform.name(), None);
                }
            }
            Kind::Compute(_) if element.value.is_some() || here.is_some() => self.tell(rule, at, "", "computed", None),
            Kind::Fixed(_) if element.value.is_some() || here.is_some() => self.tell(rule, at, "", "constant", None),
            Kind::Compute(_) | Kind::Fixed(_) => {}
        }
    }

    fn tell(&mut self, rule: &Rule, at: &str, field: &str, how: &str, concept: Option<String>) {
        let (output, source) = if self.to_fhir { (at, field) } else { (field, at) };
        self.origins.push(Origin {
            part: self.part.clone(),
            output: output.to_owned(),
            source: source.to_owned(),
            rule: rule.at.to_string(),
            how: how.to_owned(),
            concept,
            doc: rule.doc.as_deref().map(str::to_owned),
        });
    }
}

/// The way to the owner of a leaf, with its pointer.
fn way<'a>(members: &'a Object, steps: &[Step], at: &str, env: &Env<'_>) -> Option<(&'a Object, String)> {
    let Some((step, rest)) = steps.split_first() else { return Some((members, at.to_owned())) };
    match step {
        Step::Object(name) | Step::Beside(name) => {
            way(members.get(&**name)?.as_object()?, rest, &format!("{at}/{name}"), env)
        }
        Step::Item(name, select) => {
            let items = members.get(&**name)?.as_array()?;
            let (index, item) =
                items.iter().enumerate().find(|(index, item)| select.matches(item, *index, env.context))?;
            way(item.as_object()?, rest, &format!("{at}/{name}/{index}"), env)
        }
    }
}

/// The row by which a coded element is read.
fn row(coded: &Coded, value: &Value) -> Option<String> {
    let codes = coded.codes.as_ref()?;
    let of_coding =
        |coding: &Value| codes.row_of_code(coding.get("system").and_then(Value::as_str), coding.get("code")?);
    let row = match coded.form {
        Form::Code => codes.row_of_code(None, value),
        Form::Coding => of_coding(value),
        Form::Concept => value.get("coding")?.as_array()?.iter().find_map(of_coding),
    }?;
    let row = &codes.rows[row];
    Some(format!("{}: {} → {} ({})", codes.name, row.word, row.code, row.equivalence))
}
