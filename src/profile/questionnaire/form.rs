//! A Questionnaire by itself, beyond its invariants: that `enableWhen` names a question that can be answered before.

use std::collections::HashMap;

use serde_json::Value;

use super::{INNERMOST, list, text};
use crate::profile::{place::Place, say::Say, walk::Walk};

impl<'a> Walk<'a> {
    /// Checks the conditions of a questionnaire's items.
    pub fn questionnaire(&mut self, form: &'a Value, place: &Place<'_>) {
        let mut order = HashMap::new();
        number(list(form, "item"), &mut order, 0);
        self.conditions(list(form, "item"), &order, place);
    }

    fn conditions(&mut self, items: &'a [Value], order: &HashMap<&'a str, usize>, place: &Place<'_>) {
        for (index, item) in items.iter().enumerate() {
            let at = place.plain("item", Some(index));
            let own = text(item, "linkId");
            for (index, condition) in list(item, "enableWhen").iter().enumerate() {
                let Some(question) = text(condition, "question") else { continue };
                let at = at.plain("enableWhen", Some(index));
                let say = match (order.get(question), own.and_then(|own| order.get(own))) {
                    (None, _) => Say::error(
                        "business-rule",
                        "enable-when",
                        "the questionnaire has no item with the linkId that this condition asks for",
                    ),
                    (Some(_), _) if own == Some(question) => Say::error(
                        "business-rule",
                        "enable-when",
                        "a condition cannot ask for the answer to its own item",
                    ),
                    (Some(target), Some(own)) if target > own => Say::warning(
                        "business-rule",
                        "enable-when",
                        "the item that this condition asks for comes after the item itself",
                    ),
                    _ => continue,
                };
                self.raise(&at, None, say);
            }
            if at.depth() < INNERMOST {
                self.conditions(list(item, "item"), order, &at);
            }
        }
    }
}

fn number<'v>(items: &'v [Value], order: &mut HashMap<&'v str, usize>, depth: usize) {
    for item in items {
        if let Some(id) = text(item, "linkId") {
            let next = order.len();
            order.entry(id).or_insert(next);
        }
        if depth < INNERMOST {
            number(list(item, "item"), order, depth + 1);
        }
    }
}
