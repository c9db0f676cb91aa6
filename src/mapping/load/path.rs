//! The grammar of `target` paths: `Patient.name[use=official].family`, `extension('http://…').valueCode`,
//! `participant[actor -> Patient].actor`. Only the text; what the names mean is decided by `compile`.

/// One step of a path as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) name: String,
    pub(crate) tests: Vec<RawTest>,
}

/// One condition in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RawTest {
    Equals(Vec<String>, String),
    Differs(Vec<String>, String),
    Missing(Vec<String>),
    Present(Vec<String>),
    RefersTo(Vec<String>, String),
    Index(usize),
}

impl Segment {
    /// The segment as canonical text, so that equal selectors compare equal however they are written.
    pub(crate) fn canonical(&self) -> String {
        let tests: Vec<String> = self.tests.iter().map(RawTest::canonical).collect();
        if tests.is_empty() { self.name.clone() } else { format!("{}[{}]", self.name, tests.join(", ")) }
    }
}

impl RawTest {
    fn canonical(&self) -> String {
        match self {
            Self::Equals(path, value) => format!("{}={value}", path.join(".")),
            Self::Differs(path, value) => format!("{}!={value}", path.join(".")),
            Self::Missing(path) => format!("!{}", path.join(".")),
            Self::Present(path) => path.join("."),
            Self::RefersTo(path, kind) => format!("{} -> {kind}", path.join(".")),
            Self::Index(index) => index.to_string(),
        }
    }
}

/// A path's text once more, in canonical form.
pub(crate) fn canonical(segments: &[Segment]) -> String {
    segments.iter().map(Segment::canonical).collect::<Vec<_>>().join(".")
}

/// Takes a path apart.
pub(crate) fn parse(text: &str) -> Result<Vec<Segment>, String> {
    let mut reader = Reader { text, at: 0 };
    let mut segments = Vec::new();
    loop {
        segments.push(reader.segment()?);
        if reader.at == text.len() {
            return Ok(segments);
        }
        if !reader.eat(".") {
            return Err(format!("a `.` is expected before `{}`", reader.rest()));
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn eat(&mut self, what: &str) -> bool {
        let found = self.rest().starts_with(what);
        if found {
            self.at += what.len();
        }
        found
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn word(&mut self) -> Result<String, String> {
        let end =
            self.rest().find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').unwrap_or(self.rest().len());
        // `actor->Patient`: the arrow is no part of the name.
        let end = self.rest()[..end].find("->").unwrap_or(end);
        let end = if self.rest()[end..].starts_with('>') && end > 0 { end - 1 } else { end };
        if end == 0 {
            return Err(match self.rest().chars().next() {
                Some(odd) => format!("an element's name is expected, not `{odd}`"),
                None => "an element's name is expected at the end".to_owned(),
            });
        }
        let word = self.rest()[..end].to_owned();
        self.at += end;
        Ok(word)
    }

    fn quoted(&mut self) -> Result<Option<String>, String> {
        let Some(quote) = self.rest().chars().next().filter(|c| *c == '"' || *c == '\'') else { return Ok(None) };
        let inside = &self.rest()[1..];
        let Some(end) = inside.find(quote) else { return Err(format!("the closing {quote} is missing")) };
        self.at += end + 2;
        Ok(Some(inside[..end].to_owned()))
    }

    fn segment(&mut self) -> Result<Segment, String> {
        let name = self.word()?;
        let mut tests = Vec::new();
        if (name == "extension" || name == "modifierExtension") && self.eat("(") {
            let url = self.quoted()?.ok_or("the extension's URL in quotes is expected")?;
            if !self.eat(")") {
                return Err("the closing `)` is missing".to_owned());
            }
            tests.push(RawTest::Equals(vec!["url".to_owned()], url));
        }
        if self.eat("[") {
            loop {
                self.space();
                tests.push(self.test()?);
                self.space();
                if self.eat("]") {
                    break;
                }
                if !self.eat(",") {
                    return Err("`,` or `]` is expected in the selector".to_owned());
                }
            }
        }
        Ok(Segment { name, tests })
    }

    fn path(&mut self) -> Result<Vec<String>, String> {
        let mut names = vec![self.word()?];
        while self.eat(".") {
            names.push(self.word()?);
        }
        Ok(names)
    }

    fn test(&mut self) -> Result<RawTest, String> {
        let digits = self.rest().len() - self.rest().trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 {
            let index = self.rest()[..digits].parse().map_err(|_| "the position is too large".to_owned())?;
            self.at += digits;
            return Ok(RawTest::Index(index));
        }
        if self.eat("!") {
            return Ok(RawTest::Missing(self.path()?));
        }
        let path = self.path()?;
        self.space();
        if self.eat("->") {
            self.space();
            return Ok(RawTest::RefersTo(path, self.word()?));
        }
        if self.eat("!=") {
            return Ok(RawTest::Differs(path, self.value()?));
        }
        if self.eat("=") {
            return Ok(RawTest::Equals(path, self.value()?));
        }
        Ok(RawTest::Present(path))
    }

    fn value(&mut self) -> Result<String, String> {
        self.space();
        if let Some(text) = self.quoted()? {
            return Ok(text);
        }
        let end = self.rest().find([',', ']']).unwrap_or(self.rest().len());
        let value = self.rest()[..end].trim().to_owned();
        self.at += end;
        if value.is_empty() { Err("a value is expected after `=`".to_owned()) } else { Ok(value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let shown = |text| parse(text).map(|path| canonical(&path));
        assert_eq!(shown("Patient.name[use = official].family").as_deref(), Ok("Patient.name[use=official].family"));
        assert_eq!(
            parse("Patient.birthDate.extension('http://x/y.z').valueDateTime").unwrap()[2],
            Segment {
                name: "extension".into(),
                tests: vec![RawTest::Equals(vec!["url".into()], "http://x/y.z".into())]
            }
        );
        assert_eq!(shown("participant[actor->Patient].actor").as_deref(), Ok("participant[actor -> Patient].actor"));
        assert_eq!(shown("a[b.c=\"x]y\", !d, e!=f, g, 2]").as_deref(), Ok("a[b.c=x]y, !d, e!=f, g, 2]"));
        for bad in ["", "a.", "a[", "a[b=", "a[b=]", "a..b", "a b", "extension(x)", "a['x']", "a[b=\"c]"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
