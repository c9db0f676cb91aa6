//! What a plan's rules are about, told from outside a run: the paths each rule may change, the rule that a field or a
//! path belongs to, the references that must point somewhere. For the laws, `coverage` and `explain`.

use serde_json::Value;

use super::{
    Plan,
    load::parse_path,
    loss::join,
    plan::{Kind, Leaf, Rule, Scope},
    transform::Transform,
};

/// What a rule may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulePath {
    /// Index of the part.
    pub part: usize,
    /// Element names from the resource down, without selectors: `participant.actor`.
    pub path: String,
    /// The rule's target with its selectors.
    pub target: String,
    /// Its field, dotted; empty for constants and computed values.
    pub field: String,
    /// `file:line` of the rule.
    pub rule: String,
    /// The rule has nested rules: only whole elements come and go at this path itself.
    pub nested: bool,
}

impl Plan {
    /// The paths that rules may change; nothing else in a resource ever changes, but the narrative.
    #[must_use]
    pub fn rule_paths(&self) -> Vec<RulePath> {
        let mut paths = Vec::new();
        for (part, plan) in self.parts.iter().enumerate() {
            walk(&plan.scope, part, "", &mut paths);
        }
        for link in &self.links {
            let path = names(&link.target.text);
            paths.push(RulePath {
                part: link.target.part,
                path,
                target: link.target.text.to_string(),
                field: String::new(),
                rule: String::new(),
                nested: false,
            });
        }
        for constant in &self.constants {
            let root = constant.target.split('.').next().unwrap_or_default();
            let part = self.parts.iter().position(|part| *part.resource == *root).unwrap_or(0);
            let (path, rule) = (names(&constant.target), constant.at.to_string());
            let target = constant.target.to_string();
            paths.push(RulePath { part, path, target, field: String::new(), rule, nested: false });
        }
        paths
    }

    /// How many parts the mapping knows.
    #[must_use]
    pub fn part_count(&self) -> usize {
        self.parts.len()
    }

    /// The index of a part by its role.
    #[must_use]
    pub fn part_index(&self, role: &str) -> Option<usize> {
        self.parts.iter().position(|part| *part.role == *role)
    }

    /// `file:line` of the rule of a field (dotted, without indexes): the most particular one.
    #[must_use]
    pub fn rule_of_field(&self, field: &str) -> Option<String> {
        let paths = self.rule_paths();
        let fits = |own: &str| field == own || field.strip_prefix(own).is_some_and(|rest| rest.starts_with('.'));
        paths
            .iter()
            .filter(|path| !path.field.is_empty() && fits(&path.field))
            .max_by_key(|path| path.field.len())
            .map(|path| path.rule.clone())
    }

    /// Lets generated references point to objects that their rules allow; `pick` chooses among so many.
    pub fn point_references(&self, internal: &mut Value, pick: &mut dyn FnMut(usize) -> usize) {
        for part in &self.parts {
            point(&part.scope, internal, &self.objects.type_of.keys().cloned().collect::<Vec<_>>(), pick);
        }
    }
}

fn walk(scope: &Scope, part: usize, prefix: &str, paths: &mut Vec<RulePath>) {
    for rule in &scope.rules {
        let field = if matches!(rule.kind, Kind::Compute(_) | Kind::Fixed(_)) {
            String::new()
        } else {
            join(prefix, &rule.internal)
        };
        let inner = match &rule.kind {
            Kind::Group(inner) | Kind::Each { scope: inner, .. } | Kind::Contained { scope: inner, .. } => Some(inner),
            _ => None,
        };
        let path = names(&rule.target.text);
        let made = |path: String| RulePath {
            part,
            path,
            target: rule.target.text.to_string(),
            field: field.clone(),
            rule: rule.at.to_string(),
            nested: inner.is_some(),
        };
        paths.extend(others(rule, &path).into_iter().map(made));
        if rule.absent.is_some() && inner.is_some() {
            // Where it is not known, the whole element says only that.
            paths.push(RulePath { nested: false, ..made(path.clone()) });
        }
        paths.push(made(path));
        if let Some(inner) = inner {
            walk(inner, part, &field, paths);
        }
    }
}

/// The other forms of a choice go when one is written; a contained resource comes and goes with its reference.
fn others(rule: &Rule, path: &str) -> Vec<String> {
    let mut others = Vec::new();
    if let Leaf::Member { siblings, .. } = &rule.target.leaf {
        let owner = path.rsplit_once('.').map_or(String::new(), |(owner, _)| format!("{owner}."));
        others.extend(siblings.iter().map(|name| format!("{owner}{}", name.trim_start_matches('_'))));
    }
    if matches!(rule.kind, Kind::Contained { .. }) {
        others.push("contained".to_owned());
    }
    others
}

/// The names of a path below its resource type.
fn names(text: &str) -> String {
    match parse_path(text) {
        Ok(segments) => segments.iter().skip(1).map(|segment| segment.name.as_str()).collect::<Vec<_>>().join("."),
        // Our own marks, like `identifier[ours]`, and contained resources.
        Err(_) => text
            .split('.')
            .skip(1)
            .map(|name| name.split(['[', '(']).next().unwrap_or(name))
            .collect::<Vec<_>>()
            .join("."),
    }
}

fn point(scope: &Scope, value: &mut Value, all: &[super::plan::Name], pick: &mut dyn FnMut(usize) -> usize) {
    for rule in &scope.rules {
        let mut found = Some(&mut *value);
        for name in &rule.internal {
            found = found.and_then(|value| value.get_mut(&**name));
        }
        let Some(found) = found else { continue };
        match (&rule.kind, found) {
            (Kind::Leaf(Transform::Reference { to }), reference) => point_one(reference, to, all, pick),
            (Kind::Values(Transform::Reference { to }), Value::Array(items)) => {
                items.iter_mut().for_each(|item| point_one(item, to, all, pick));
            }
            (Kind::Group(inner) | Kind::Contained { scope: inner, .. }, inside) => point(inner, inside, all, pick),
            (Kind::Each { scope: inner, .. }, Value::Array(items)) => {
                items.iter_mut().for_each(|item| point(inner, item, all, pick));
            }
            _ => {}
        }
    }
}

fn point_one(
    reference: &mut Value,
    to: &[super::plan::Name],
    all: &[super::plan::Name],
    pick: &mut dyn FnMut(usize) -> usize,
) {
    let allowed = if to.is_empty() { all } else { to };
    if let Some(object) = reference.get_mut("object")
        && let Some(name) = allowed.get(pick(allowed.len()))
    {
        *object = Value::String(name.to_string());
    }
}
