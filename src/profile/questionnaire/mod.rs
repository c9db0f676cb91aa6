//! A QuestionnaireResponse against its Questionnaire: that each item exists there, in its place and order, enabled,
//! answered where it must be, and often enough. Answers' values: `answer`, `limits`. `enableWhen`: `enable`. A
//! Questionnaire by itself: `form`. An unfinished response (`in-progress`) may still lack answers: warnings.
//! <https://hl7.org/fhir/R4/questionnaireresponse.html#notes>. Issues never quote an answer.

mod answer;
mod enable;
mod form;
mod limits;

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use super::{
    place::Place,
    say::Say,
    walk::{Scope, Walk},
};
use crate::fhir::{list, text};
use enable::Level;

const INNERMOST: usize = 100;

fn flag(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// The extensions of `value` with this URL.
fn extensions<'v>(value: &'v Value, url: &'v str) -> impl Iterator<Item = &'v Value> {
    list(value, "extension").iter().filter(move |extension| text(extension, "url") == Some(url))
}

/// The `value[x]` of an element: its type's name as in the JSON property (`Coding`), and the value.
fn choice(value: &Value) -> Option<(&str, &Value)> {
    let suffix =
        |key: &'_ str| key.strip_prefix("value").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()));
    value.as_object()?.iter().find(|(key, _)| suffix(key)).map(|(key, value)| (&key[5..], value))
}

/// The value of the extension of `item` with this URL.
fn setting<'v>(item: &'v Value, url: &'v str) -> Option<(&'v str, &'v Value)> {
    extensions(item, url).find_map(choice)
}

/// An extension's Integer.
fn count(item: &Value, url: &str) -> Option<usize> {
    setting(item, url)?.1.as_number()?.as_str().parse().ok()
}

impl<'a> Walk<'a> {
    /// Checks a response against its questionnaire, as far as that is at hand.
    pub fn questionnaire_response(&mut self, response: &'a Value, place: &Place<'_>, scope: &Scope<'a>) {
        let at = place.plain("questionnaire", None);
        let Some(canonical) = text(response, "questionnaire") else {
            let text = "no questionnaire is named, so the answers cannot be checked against it";
            return self.raise(place, None, Say::information("not-supported", "questionnaire", text));
        };
        let definitions = Arc::clone(&self.types.definitions);
        let kept;
        let form: Option<&Value> = if let Some(id) = canonical.strip_prefix('#') {
            let holder = scope.container().unwrap_or(response);
            list(holder, "contained").iter().find(|inner| text(inner, "id") == Some(id))
        } else {
            kept = definitions.resource(canonical);
            kept.as_deref()
        };
        let Some(form) = form else {
            let text = "the questionnaire is not at hand, so the answers cannot be checked against it";
            return self.raise(place, None, Say::warning("required", "questionnaire", text));
        };
        if text(form, "resourceType") != Some("Questionnaire") {
            let text = "this names another resource than a Questionnaire";
            return self.raise(&at, None, Say::error("invalid", "questionnaire", text));
        }
        self.authored_in_time(form, response, place);
        let mut responses = Responses {
            walk: self,
            form,
            response,
            scope: *scope,
            questions: HashMap::new(),
            holders: HashMap::new(),
            answered: HashMap::new(),
            in_progress: text(response, "status") == Some("in-progress"),
        };
        responses.index_form(list(form, "item"), None, 0);
        responses.index_response(list(response, "item"), 0);
        let root = Level { node: response, above: None };
        responses.items(list(form, "item"), response, place, &root);
    }

    /// `authored` within the questionnaire's effective period.
    fn authored_in_time(&mut self, form: &Value, response: &Value, place: &Place<'_>) {
        let (Some(authored), Some(period)) = (text(response, "authored"), form.get("effectivePeriod")) else { return };
        let at = place.plain("authored", None);
        for (bound, order, text_of) in [
            ("start", std::cmp::Ordering::Less, "the response was authored before the questionnaire came into effect"),
            (
                "end",
                std::cmp::Ordering::Greater,
                "the response was authored after the questionnaire went out of effect",
            ),
        ] {
            let passed = text(period, bound).and_then(|bound| limits::compare_times(authored, bound));
            if passed == Some(order) {
                self.raise(&at, None, Say::warning("business-rule", "questionnaire-period", text_of));
            }
        }
    }
}

/// One response being checked. `'f`: of the questionnaire and the response.
struct Responses<'w, 'a, 'f> {
    walk: &'w mut Walk<'a>,
    form: &'f Value,
    response: &'f Value,
    scope: Scope<'a>,
    /// All questions by linkId.
    questions: HashMap<&'f str, &'f Value>,
    /// The question that holds another, by linkIds.
    holders: HashMap<&'f str, &'f str>,
    /// All items of the response by linkId.
    answered: HashMap<&'f str, Vec<&'f Value>>,
    in_progress: bool,
}

impl<'f> Responses<'_, '_, 'f> {
    fn index_form(&mut self, items: &'f [Value], holder: Option<&'f str>, depth: usize) {
        for item in items {
            let id = text(item, "linkId");
            if let Some(id) = id {
                self.questions.entry(id).or_insert(item);
                if let Some(holder) = holder {
                    self.holders.entry(id).or_insert(holder);
                }
            }
            if depth < INNERMOST {
                self.index_form(list(item, "item"), id.or(holder), depth + 1);
            }
        }
    }

    fn index_response(&mut self, items: &'f [Value], depth: usize) {
        for item in items {
            if let Some(id) = text(item, "linkId") {
                self.answered.entry(id).or_default().push(item);
            }
            if depth < INNERMOST {
                self.index_response(list(item, "item"), depth + 1);
                for answer in list(item, "answer") {
                    self.index_response(list(answer, "item"), depth + 1);
                }
            }
        }
    }

    fn raise(&mut self, place: &Place<'_>, say: Say) {
        self.walk.raise(place, None, say);
    }

    /// What is missing: an error, unless the response is still being filled in.
    fn missing(&mut self, place: &Place<'_>, text: String) {
        let say = Say::error_if(!self.in_progress, "required", "item-required", text);
        self.raise(place, say);
    }

    /// The items of a node of the response, against those of the questionnaire.
    fn items(&mut self, questions: &'f [Value], node: &'f Value, place: &Place<'_>, level: &Level<'_, 'f>) {
        if place.depth() > 2 * INNERMOST {
            return;
        }
        let places: HashMap<&str, usize> =
            questions.iter().enumerate().filter_map(|(at, question)| Some((text(question, "linkId")?, at))).collect();
        let mut found: Vec<Vec<(usize, &'f Value)>> = vec![Vec::new(); questions.len()];
        let mut last = 0;
        for (index, item) in list(node, "item").iter().enumerate() {
            let at = place.plain("item", Some(index));
            // Without a linkId the cardinality speaks
            let Some(id) = text(item, "linkId") else { continue };
            if let Some(position) = places.get(id) {
                if *position < last {
                    let text = "the items are not in the order of the questionnaire";
                    self.raise(&at, Say::error("structure", "item-order", text));
                }
                last = last.max(*position);
                found[*position].push((index, item));
            } else if let Some(question) = self.questions.get(id).copied() {
                let text = "this item is not where the questionnaire has it";
                self.raise(&at, Say::error("structure", "item-place", text));
                self.item(question, item, &at, level);
            } else {
                let text = "the questionnaire has no item with this linkId";
                self.raise(&at, Say::error("not-found", "item-unknown", text));
            }
        }
        for (question, nodes) in questions.iter().zip(found) {
            self.question(question, &nodes, place, level);
        }
    }

    /// One question and the items that answer it.
    fn question(
        &mut self,
        question: &'f Value,
        nodes: &[(usize, &'f Value)],
        place: &Place<'_>,
        level: &Level<'_, 'f>,
    ) {
        let enabled = self.is_enabled(question, level);
        let id = text(question, "linkId").unwrap_or_default();
        if nodes.is_empty() && enabled == Some(true) && flag(question, "required") {
            return self.missing(place, format!("the required item '{id}' has no answer"));
        }
        if let [_, (second, _), ..] = nodes {
            if !flag(question, "repeats") {
                let text = format!("only one item '{id}' is allowed");
                self.raise(&place.plain("item", Some(*second)), Say::error("invalid", "item-repeats", text));
            } else if let Some(most) = count(question, limits::MAX_OCCURS).filter(|most| nodes.len() > *most) {
                let text = format!("the item '{id}' may stand {most} times at most");
                self.raise(&place.plain("item", Some(*second)), Say::error("invalid", "item-repeats", text));
            }
        }
        for (index, node) in nodes {
            let at = place.plain("item", Some(*index));
            let filled = !list(node, "answer").is_empty() || !list(node, "item").is_empty();
            if filled && enabled == Some(false) {
                let text = format!("the item '{id}' is answered although it is not enabled");
                self.raise(&at, Say::error("invalid", "item-disabled", text));
            }
            if !filled && enabled == Some(true) && flag(question, "required") {
                let what = if text(question, "type") == Some("group") { "items" } else { "answer" };
                self.missing(&at, format!("the required item '{id}' has no {what}"));
            }
            self.item(question, node, &at, level);
        }
    }

    fn item(&mut self, question: &'f Value, node: &'f Value, place: &Place<'_>, level: &Level<'_, 'f>) {
        self.same_text(question, node, place);
        let own = Level { node, above: Some(level) };
        let answers = list(node, "answer");
        let inner = list(node, "item");
        match text(question, "type") {
            Some("group") => {
                if !answers.is_empty() {
                    let text = "a group has items, not answers";
                    self.raise(place, Say::error("structure", "item-group", text));
                }
                return self.items(list(question, "item"), node, place, &own);
            }
            Some("display") => {
                if !answers.is_empty() {
                    let text = "an item that only displays text cannot have answers";
                    self.raise(place, Say::error("structure", "item-display", text));
                }
                if !inner.is_empty() {
                    let text = "an item that only displays text cannot have items";
                    self.raise(place, Say::error("structure", "item-display", text));
                }
                return;
            }
            // The type's definition calls it abstract: only its kinds may be used
            Some("question") if !answers.is_empty() => {
                let text = "the questionnaire gives this item the abstract type 'question', which no answer can have";
                self.raise(place, Say::error("structure", "item-type", text));
            }
            Some(_) => {}
            None => {
                let text = "the questionnaire does not say what type this item has";
                return self.raise(place, Say::error("required", "item-type", text));
            }
        }
        if !inner.is_empty() {
            let text = "items below a question belong into its answer, not beside it";
            self.raise(place, Say::error("structure", "item-nesting", text));
        }
        self.answer_count(question, answers, place);
        for (index, answer) in answers.iter().enumerate() {
            let at = place.plain("answer", Some(index));
            self.answer(question, answer, answers.len(), &at);
            let below = Level { node: answer, above: Some(&own) };
            self.items(list(question, "item"), answer, &at, &below);
        }
    }

    fn answer_count(&mut self, question: &Value, answers: &[Value], place: &Place<'_>) {
        if answers.len() > 1 && !flag(question, "repeats") {
            let text = "only one answer is allowed";
            return self.raise(place, Say::error("invalid", "answer-repeats", text));
        }
        if let Some(most) = count(question, limits::MAX_OCCURS).filter(|most| answers.len() > *most) {
            let text = format!("at most {most} answers are allowed");
            self.raise(place, Say::error("invalid", "answer-count", text));
        }
        if let Some(least) = count(question, limits::MIN_OCCURS).filter(|least| answers.len() < *least) {
            let text = format!("at least {least} answers are required");
            let say = Say::error_if(!self.in_progress, "required", "answer-count", text);
            self.raise(place, say);
        }
    }

    /// `text`, where it is repeated, is that of the questionnaire or one of its translations.
    fn same_text(&mut self, question: &Value, node: &Value, place: &Place<'_>) {
        let Some(stated) = text(node, "text") else { return };
        let translated = || {
            let translations = question.get("_text").map(|sibling| list(sibling, "extension")).unwrap_or_default();
            translations.iter().any(|translation| {
                list(translation, "extension")
                    .iter()
                    .filter_map(choice)
                    .any(|(_, value)| value.as_str() == Some(stated))
            })
        };
        if text(question, "text") != Some(stated) && !translated() {
            let text = "the text is not that of the questionnaire's item";
            self.raise(&place.plain("text", None), Say::error("invalid", "item-text", text));
        }
    }
}

#[cfg(test)]
mod tests;
