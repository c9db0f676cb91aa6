//! Where the walk is: frames on the stack, turned into a FHIRPath and a JSON pointer only when there is something to
//! say, so that a resource without issues costs no text.

/// One step down from its parent.
#[derive(Clone, Copy, Debug)]
pub struct Place<'p> {
    parent: Option<&'p Self>,
    /// JSON property; for the root the resource's type.
    key: &'p str,
    /// FHIRPath's name: `value` for `valueQuantity`.
    name: &'p str,
    /// The type chosen, for choices.
    chosen: Option<&'p str>,
    index: Option<usize>,
    what: What<'p>,
}

/// What the definition says a place is.
#[derive(Clone, Copy, Debug, Default)]
pub struct What<'p> {
    /// Path of the element in the structure that defines it (`Patient.contact`, `HumanName.family`).
    pub path: &'p str,
    /// Its type (`HumanName`).
    pub code: &'p str,
}

impl<'p> Place<'p> {
    /// The root of what is validated.
    pub const fn root(name: &'p str) -> Self {
        Self { parent: None, key: "", name, chosen: None, index: None, what: What { path: name, code: name } }
    }

    /// A member of an object.
    pub const fn member(
        &'p self,
        key: &'p str,
        name: &'p str,
        chosen: Option<&'p str>,
        index: Option<usize>,
        what: What<'p>,
    ) -> Self {
        Self { parent: Some(self), key, name, chosen, index, what }
    }

    /// A member that is called by its JSON property.
    pub const fn plain(&'p self, key: &'p str, index: Option<usize>) -> Self {
        self.member(key, key, None, index, What { path: "", code: "" })
    }

    /// The JSON property.
    pub const fn key(&self) -> &'p str {
        self.key
    }

    /// FHIRPath's name.
    pub const fn name(&self) -> &'p str {
        self.name
    }

    /// Index in its list.
    pub const fn own_index(&self) -> Option<usize> {
        self.index
    }

    /// The list that it is an item of.
    pub const fn whole(self) -> Self {
        Self { index: None, ..self }
    }

    /// What it is.
    pub const fn what(&self) -> What<'p> {
        self.what
    }

    /// The names from the resource down (`Patient.name.family`), without indexes.
    pub fn names(&self) -> String {
        let own = if self.chosen.is_some() { format!("{}[x]", self.name) } else { self.name.to_owned() };
        match self.parent {
            Some(parent) if !matches!(self.key, "resource" | "contained") => format!("{}.{own}", parent.names()),
            _ => self.what.code.to_owned(),
        }
    }

    /// The place above.
    pub const fn parent(&self) -> Option<&'p Self> {
        self.parent
    }

    /// The same place under another JSON property (`_birthDate`).
    pub const fn renamed<'q>(&self, key: &'q str) -> Place<'q>
    where
        'p: 'q,
    {
        Place { parent: self.parent, key, name: self.name, chosen: self.chosen, index: self.index, what: self.what }
    }

    /// The same place, known to be of this type: a resource inside another.
    pub const fn typed<'q>(&self, name: &'q str) -> Place<'q>
    where
        'p: 'q,
    {
        Place {
            parent: self.parent,
            key: self.key,
            name: self.name,
            chosen: self.chosen,
            index: self.index,
            what: What { path: name, code: name },
        }
    }

    /// For the resource of an entry of the outermost bundle: the entry's index.
    pub fn entry_index(&self) -> Option<usize> {
        let entry = self.parent.filter(|parent| matches!(parent.key, "entry" | "parameter"))?;
        entry.parent.is_some_and(|root| root.parent.is_none()).then_some(entry.index)?
    }

    /// FHIRPath with indexes: `Observation.component[10203].value.ofType(Quantity).code`.
    pub fn expression(&self) -> String {
        let mut out = String::with_capacity(64);
        self.write_expression(&mut out);
        out
    }

    fn write_expression(&self, out: &mut String) {
        if let Some(parent) = self.parent {
            parent.write_expression(out);
            out.push('.');
        }
        out.push_str(self.name);
        if let Some(chosen) = self.chosen {
            out.push_str(".ofType(");
            out.push_str(chosen);
            out.push(')');
        }
        if let Some(index) = self.index {
            out.push('[');
            push_number(out, index);
            out.push(']');
        }
    }

    /// RFC 6901.
    pub fn pointer(&self) -> String {
        let mut out = String::with_capacity(64);
        self.write_pointer(&mut out);
        out
    }

    fn write_pointer(&self, out: &mut String) {
        let Some(parent) = self.parent else { return };
        parent.write_pointer(out);
        out.push('/');
        if self.key.contains(['~', '/']) {
            out.push_str(&self.key.replace('~', "~0").replace('/', "~1"));
        } else {
            out.push_str(self.key);
        }
        if let Some(index) = self.index {
            out.push('/');
            push_number(out, index);
        }
    }

    /// Levels below the root.
    pub fn depth(&self) -> usize {
        self.parent.map_or(0, |parent| parent.depth() + 1)
    }
}

/// A number in decimal; the formatting machinery costs several times as much.
fn push_number(out: &mut String, number: usize) {
    if number >= 10 {
        push_number(out, number / 10);
    }
    out.push(char::from(b'0' + u8::try_from(number % 10).unwrap_or_default()));
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn both_notations() {
        let root = Place::root("Observation");
        let component = root.plain("component", Some(10_203));
        let value = component.member("valueQuantity", "value", Some("Quantity"), None, super::What::default());
        let code = value.plain("a/b", None);
        assert_eq!(code.expression(), "Observation.component[10203].value.ofType(Quantity).a/b");
        assert_eq!(code.pointer(), "/component/10203/valueQuantity/a~1b");
    }
}
