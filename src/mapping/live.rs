//! The mappings in use. Whoever begins a piece of work takes the set of that moment and ends with it; a reload replaces
//! the set as a whole, so that nobody sees half of one.

use std::sync::{Arc, PoisonError, RwLock};

use super::Mappings;

/// A shared place that holds the current set; cheap to clone.
#[derive(Clone, Debug)]
pub struct Live(Arc<RwLock<Arc<Mappings>>>);

impl Live {
    /// A place that holds this set.
    #[must_use]
    pub fn new(mappings: Arc<Mappings>) -> Self {
        Self(Arc::new(RwLock::new(mappings)))
    }

    /// The set of this moment.
    #[must_use]
    pub fn now(&self) -> Arc<Mappings> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another set in its place. The caller has proven its laws.
    pub fn replace(&self, mappings: Arc<Mappings>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = mappings;
    }
}
