//! `enableWhen`: whether an item is in play, given the answers so far.
//! <https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.enableWhen>

use std::cmp::Ordering;

use serde_json::Value;

use super::{Responses, choice, extensions, limits, list, setting, text};
use crate::fhirpath::{Context, Expression, Item, Node, Type, Variables};

const EXPRESSION: &str = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-enableWhenExpression";

const VARIABLE: &str = "http://hl7.org/fhir/StructureDefinition/variable";

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
            return self.by_expression(question, text(value, "expression")?);
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

    /// SDC's `enableWhenExpression`: it sees the response (`%resource`), the form (`%questionnaire`), the question
    /// (`%qitem`), and the variables that the form, the groups around the question and the question itself define.
    fn by_expression(&self, question: &'f Value, expression: &str) -> Option<bool> {
        let mut holders = vec![question];
        let mut at = text(question, "linkId");
        while let Some(holder) = at.and_then(|id| self.holders.get(id)).filter(|_| holders.len() < super::INNERMOST) {
            holders.extend(self.questions.get(holder));
            at = Some(holder);
        }
        holders.push(self.form);
        let mut whole = String::new();
        for defined in holders.iter().rev().flat_map(|holder| extensions(holder, VARIABLE)) {
            let defined = &defined["valueExpression"];
            let (Some(name), Some(value)) = (text(defined, "name"), text(defined, "expression")) else { continue };
            // What is no FHIRPath stays undefined, and an expression that needs it undecided
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if plain && text(defined, "language") == Some("text/fhirpath") {
                whole.push_str(&format!("defineVariable('{name}', {value})."));
            }
        }
        let whole = if whole.is_empty() { expression.to_owned() } else { format!("{whole}select({expression})") };
        let expression = Expression::parse(&whole).ok()?;
        let focus = Node::new(Some(self.response), None, Type::UNKNOWN);
        let node = |value| Item::Node(Node::new(Some(value), None, Type::UNKNOWN));
        let variables = Variables::from([
            ("questionnaire".to_owned(), vec![node(self.form)]),
            ("qitem".to_owned(), vec![node(question)]),
        ]);
        let mut context = Context::new(self.walk.types, Some(focus));
        context.now = self.walk.options.now;
        context.variables = Some(&variables);
        expression.holds(focus, &context).ok()
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
