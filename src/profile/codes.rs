//! Codings by themselves, bound or not: their system, whether the code exists there, and the display they state.

use serde_json::Value;

use super::{elements::is_absolute, place::Place, say::Say, walk::Walk};
use crate::definitions::CodeSystem;

impl<'a> Walk<'a> {
    /// A `Coding`.
    pub fn coding(&mut self, value: &'a Value, place: &Place<'_>) {
        let Some(system) = value.get("system").and_then(Value::as_str) else { return };
        let at = place.plain("system", None);
        if !is_absolute(system) {
            let text = "Coding.system must be an absolute URI";
            return self.raise(&at, None, Say::error("invalid", "coding-system", text));
        }
        self.example_url(system, &at);
        let definitions = &self.types.definitions;
        let known = self.systems.entry(system).or_insert_with(|| definitions.code_system(system)).clone();
        let Some(known) = known else {
            return self.no_code_system(system, &at);
        };
        if let Some(code) = value.get("code").and_then(Value::as_str) {
            self.code_of(&known, code, value.get("display").and_then(Value::as_str), place);
        }
    }

    /// A system that is no code system at hand: something else by that name is an error, an unknown one is not.
    fn no_code_system(&mut self, system: &str, at: &Place<'_>) {
        let definitions = &self.types.definitions;
        let text = if definitions.has(system, "ValueSet") {
            "Coding.system names a value set; it must name a code system"
        } else if definitions.has(system, "CodeSystem")
            && definitions.resource(system).is_some_and(|it| it.get("supplements").is_some())
        {
            "Coding.system names a supplement; it must name the code system that this supplements"
        } else {
            return;
        };
        self.raise(at, None, Say::error("invalid", "coding-system", text));
    }

    fn code_of(&mut self, system: &CodeSystem, code: &str, display: Option<&str>, place: &Place<'_>) {
        let Some(concept) = system.concept(code) else {
            if system.is_complete {
                let text = format!("this code does not exist in the code system {}", system.url);
                self.raise(&place.plain("code", None), None, Say::error("code-invalid", "code", text));
            }
            return;
        };
        let (Some(display), Some(right)) = (display, &concept.display) else { return };
        if !concept.is_called(display) {
            let text = format!("the display is not that of the code in {}; it is '{right}'", system.url);
            let fix = Some(format!("write \"display\": \"{right}\""));
            let say = Say::warning("invalid", "display", text);
            self.raise_with_fix(&place.plain("display", None), None, say, fix);
        }
    }
}
