//! `enableWhen`: whether an item is in play, given the answers so far.
//! <https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.enableWhen>

use std::cmp::Ordering;

use serde_json::Value;

use super::{Responses, choice, limits, list, setting, text};
use crate::fhirpath::{Context, Expression, Node, Type};

const EXPRESSION: &str = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-enableWhenExpression";

/// A node of the response and those above it: a condition looks for its question nearby first.
#[derive(Clone, Copy)]
pub(super) struct Level<'l, 'f> {
    /// Has `item`.
    pub node: &'f Value,
    /// What holds it.
    pub above: Option<&'l Level<'l, 'f>>,
}

impl<'f> Responses<'_, '_, 'f> {
    /// Whether the question is enabled here; none if that cannot be decided.
    pub(super) fn is_enabled(&self, question: &'f Value, level: &Level<'_, 'f>) -> Option<bool> {
        if let Some((_, value)) = setting(question, EXPRESSION) {
            return self.by_expression(text(value, "expression")?);
        }
        let conditions = list(question, "enableWhen");
        let mut results = conditions.iter().map(|condition| self.is_met(condition, level));
        match text(question, "enableBehavior") {
            _ if conditions.is_empty() => Some(true),
            Some("all") => Some(results.all(|met| met)),
            Some("any") => Some(results.any(|met| met)),
            // Several conditions must say how they join (que-12); without that nothing can be said
            _ if conditions.len() > 1 => None,
            _ => Some(results.any(|met| met)),
        }
    }

    fn by_expression(&self, expression: &str) -> Option<bool> {
        let expression = Expression::parse(expression).ok()?;
        let focus = Node::new(Some(self.response), None, Type::UNKNOWN);
        expression.holds(focus, &Context::new(self.walk.types, Some(focus))).ok()
    }

    fn is_met(&self, condition: &'f Value, level: &Level<'_, 'f>) -> bool {
        let Some(question) = text(condition, "question") else { return false };
        let answers = self.answers_to(question, level);
        let operator = text(condition, "operator").unwrap_or_default();
        let Some((kind, wanted)) = condition
            .as_object()
            .and_then(|map| map.iter().find_map(|(key, v)| Some((key.strip_prefix("answer")?, v))))
        else {
            return false;
        };
        if operator == "exists" {
            return wanted.as_bool().is_none_or(|wanted| wanted != answers.is_empty());
        }
        answers.iter().filter_map(|answer| choice(answer)).any(|(own, value)| match operator {
            "=" => is_same(own, value, kind, wanted),
            "!=" => !is_same(own, value, kind, wanted),
            _ => match (limits::compare(own, value, wanted), operator) {
                (Some(order), ">") => order == Ordering::Greater,
                (Some(order), "<") => order == Ordering::Less,
                (Some(order), ">=") => order != Ordering::Less,
                (Some(order), "<=") => order != Ordering::Greater,
                _ => false,
            },
        })
    }

    /// The answers to a question: where its items repeat, those nearest to the asking item.
    fn answers_to(&self, question: &str, level: &Level<'_, 'f>) -> Vec<&'f Value> {
        match self.answered.get(question).map(Vec::as_slice) {
            None => Vec::new(),
            Some([item]) => list(item, "answer").iter().collect(),
            Some(_) => {
                let mut at = Some(level);
                while let Some(here) = at {
                    let mut found = Vec::new();
                    below(here.node, question, &mut found, 0);
                    if !found.is_empty() {
                        return found;
                    }
                    at = here.above;
                }
                Vec::new()
            }
        }
    }
}

fn below<'f>(node: &'f Value, question: &str, found: &mut Vec<&'f Value>, depth: usize) {
    if depth > super::INNERMOST {
        return;
    }
    for item in list(node, "item") {
        if text(item, "linkId") == Some(question) {
            found.extend(list(item, "answer"));
        }
        below(item, question, found, depth + 1);
        for answer in list(item, "answer") {
            below(answer, question, found, depth + 1);
        }
    }
}

/// Whether an answer is the one that a condition or an option names.
pub(super) fn is_same(own: &str, value: &Value, kind: &str, wanted: &Value) -> bool {
    match (own, kind) {
        ("Coding", "Coding") => {
            text(value, "code") == text(wanted, "code") && text(value, "system") == text(wanted, "system")
        }
        ("Reference", "Reference") => text(value, "reference") == text(wanted, "reference"),
        ("Quantity", "Quantity") => limits::compare(own, value, wanted) == Some(Ordering::Equal),
        _ => match (value, wanted) {
            (Value::Number(_), Value::Number(_)) => limits::compare(own, value, wanted) == Some(Ordering::Equal),
            _ => value == wanted,
        },
    }
}
