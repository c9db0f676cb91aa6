//! What a mapping must not do, told with the place and a hint: write an element twice, read a field twice, forget a
//! field, lose something without saying why.

use super::{
    compile::Compiler,
    concepts,
    schema::Cursor,
    yaml::{Node, Place},
};
use crate::mapping::{
    plan::{Direction, Kind, Name, Rule},
    transform::Transform,
};

/// FHIR's reasons for absence, <https://hl7.org/fhir/R4/valueset-data-absent-reason.html>.
const REASONS: &[&str] = &[
    "unknown",
    "asked-unknown",
    "temp-unknown",
    "not-asked",
    "asked-declined",
    "masked",
    "not-applicable",
    "unsupported",
    "as-text",
    "error",
    "not-a-number",
    "negative-infinity",
    "positive-infinity",
    "not-performed",
    "not-permitted",
];

impl Compiler<'_> {
    /// Notes that a rule writes an element; refuses a second one.
    pub(super) fn claim(&mut self, path: &str, at: &Place) {
        let clash = self.written.get(path).cloned().or_else(|| {
            let inside =
                |longer: &str, shorter: &str| longer.strip_prefix(shorter).is_some_and(|rest| rest.starts_with('.'));
            // The rules of a nested object are written within it, not against it.
            let against = |other: &str| inside(path, other) && !self.around.iter().any(|own| own == other);
            let mut others = self.written.iter();
            others.find(|(other, _)| inside(other, path) || against(other)).map(|(_, place)| place.clone())
        });
        match clash {
            Some(first) if first != *at => {
                let what = format!("two rules write `{path}` (the other one: {first})");
                self.mistakes.add(at, what, "remove one, or select different list items");
            }
            Some(_) => {}
            None => {
                self.written.insert(path.to_owned(), at.clone());
            }
        }
    }

    /// One-way rules and lists that are no bijection must say why.
    pub(super) fn says_why(&mut self, node: &Node, rule: &Rule) {
        let computed = matches!(rule.kind, Kind::Compute(_) | Kind::Fixed(_));
        if rule.direction != Direction::Both && rule.lossy.is_none() && !computed {
            let at = self.place(node, "only");
            self.mistakes.add(&at, "a one-way rule must say why", "add `lossy: \"why\"`");
        }
        if let Kind::Leaf(Transform::Coded(coded)) | Kind::Values(Transform::Coded(coded)) = &rule.kind
            && let Some(codes) = &coded.codes
            && rule.lossy.is_none()
        {
            let lost = concepts::not_read_back(codes);
            if !lost.is_empty() {
                let at = self.place(node, "concepts");
                let what = format!(
                    "the code list {} is no bijection: {} come back as another word",
                    codes.name,
                    lost.join(", ")
                );
                self.mistakes.add(
                    &at,
                    what,
                    "give each word a code of its own, or declare the loss with `lossy: \"why\"`",
                );
            }
        }
    }

    pub(super) fn same_field_twice(&mut self, rules: &[Rule]) {
        for (index, rule) in rules.iter().enumerate() {
            let reads = |rule: &Rule| rule.direction != Direction::ToFhir && !rule.internal.is_empty();
            let twin = rules[..index].iter().find(|other| {
                reads(other) && reads(rule) && other.internal == rule.internal && rule.condition.is_none()
            });
            if let Some(twin) = twin {
                let what =
                    format!("two rules read the field `{}` (the other one: {})", rule.internal.join("."), twin.at);
                self.mistakes.add(&rule.at, what, "remove one, or let one be `only: to_fhir`");
            }
        }
    }

    /// Every field needs a rule, unless it never leaves the house or the dialect forbids it. `named` are the internal
    /// paths of the scope's rules.
    pub(super) fn fields_without_rule(&mut self, named: &[String], schema: Cursor<'_>, prefix: &str, at: &Place) {
        for name in schema.fields() {
            let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
            if named.contains(&path) || schema.is_internal_only(name) {
                continue;
            }
            let inside = format!("{path}.");
            match schema.field(name) {
                Some(inner) if named.iter().any(|other| other.starts_with(&inside)) => {
                    self.fields_without_rule(named, inner, &path, at);
                }
                _ => {
                    let what = format!("the field `{path}` has no rule, so it would be lost");
                    self.mistakes.add(at, what, "add a rule, or `\"x-internal-only\": true` to its schema");
                }
            }
        }
    }

    pub(super) fn absent(&mut self, node: &Node) -> Option<Name> {
        let reason = node.text_at("absent", &mut self.mistakes)?.to_owned();
        let at = self.place(node, "absent");
        if !REASONS.contains(&reason.as_str()) {
            self.mistakes.add(
                &at,
                format!("`{reason}` is no reason for absence"),
                format!("one of: {}", REASONS.join(", ")),
            );
        }
        if node.get("default").is_some() {
            self.mistakes.add(&at, "`absent` and `default` exclude each other", "a default says what absence means");
        }
        Some(reason.as_str().into())
    }
}
