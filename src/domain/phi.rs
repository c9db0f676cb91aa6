//! `Phi<T>`: a value that belongs to a patient. Its `Debug` shows nothing, it has no `Display`, and it is not
//! serialised by accident: whoever needs the value says `expose()`.

/// Protected health information.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Phi<T>(T);

impl<T> Phi<T> {
    /// Wraps a patient's data.
    pub const fn new(value: T) -> Self {
        Self(value)
    }
    /// The value itself; never for logs, errors or metrics.
    pub const fn expose(&self) -> &T {
        &self.0
    }
    /// Unwraps the value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> std::fmt::Debug for Phi<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Phi(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::Phi;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Phi::new("Ann Example")), "Phi(…)");
    }
}
