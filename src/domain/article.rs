//! "a Patient", "an Appointment": sentences are made of names that are data.

/// A name with its indefinite article.
#[must_use]
pub fn a(name: &str) -> String {
    let lower = name.to_lowercase();
    // Spoken "you" or "won".
    let consonant = ["us", "uni", "one", "eu"].iter().any(|start| lower.starts_with(start));
    let vowel = lower.starts_with(['a', 'e', 'i', 'o', 'u']) && !consonant;
    if vowel { format!("an {name}") } else { format!("a {name}") }
}

/// The same at the beginning of a sentence.
#[must_use]
pub fn capital_a(name: &str) -> String {
    let text = a(name);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_the_sound() {
        for (name, said) in [
            ("Patient", "a Patient"),
            ("Appointment", "an Appointment"),
            ("appointment", "an appointment"),
            ("Encounter", "an Encounter"),
            ("Immunization", "an Immunization"),
            ("UsageContext", "a UsageContext"),
        ] {
            assert_eq!(a(name), said);
        }
        assert_eq!(capital_a("Observation"), "An Observation");
        assert_eq!(capital_a("Slot"), "A Slot");
    }
}
