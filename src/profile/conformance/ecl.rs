//! SNOMED CT's expression constraints: whether a text can be read as one, brief or long syntax. Refuses to say what it
//! selects: that takes SNOMED CT. <https://confluence.ihtsdotools.org/display/DOCECL> (grammar of version 2.2),
//! <https://hl7.org/fhir/R4/snomedct.html#implicit>

/// Brackets within brackets that are read. Real ones have a handful.
const DEEPEST: usize = 100;

/// What prefixes a concept, longest first, so that `<<!` is not read as `<<`.
const OPERATORS: &[&str] = &["!!>", "!!<", "<<!", ">>!", "<<", ">>", "<!", ">!", "<", ">"];
/// The same in the long syntax.
const LONG_OPERATORS: &[&str] = &[
    "descendantorselfof",
    "descendantof",
    "childorselfof",
    "childof",
    "ancestororselfof",
    "ancestorof",
    "parentorselfof",
    "parentof",
    "top",
    "bottom",
];
const COMPARISONS: &[&str] = &["!=", "<>", "<=", ">=", "=", "<", ">"];

type Read = Result<(), &'static str>;

/// Whether a text is an expression constraint.
///
/// # Errors
/// What is wrong, in words that do not quote it.
pub fn check(text: &str) -> Read {
    let mut reader = Reader { rest: text, depth: 0 };
    reader.expression()?;
    if reader.rest.is_empty() { Ok(()) } else { Err("something follows that belongs to nothing before it") }
}

/// The constraint of an implicit value set (`http://snomed.info/sct[/edition]?fhir_vs=ecl/…`), decoded.
pub fn of_value_set(canonical: &str) -> Option<String> {
    let rest = canonical.strip_prefix("http://snomed.info/sct")?;
    let query = rest.split_once('?')?.1;
    // A version after the last bar; bars around names are part of the expression
    let version =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    let query = query.rsplit_once('|').filter(|(_, last)| version(last)).map_or(query, |(query, _)| query);
    let mut parts = url::form_urlencoded::parse(query.as_bytes());
    parts.find_map(|(name, value)| (name == "fhir_vs").then(|| value.strip_prefix("ecl/").map(str::to_owned))?)
}

struct Reader<'t> {
    rest: &'t str,
    depth: usize,
}

impl Reader<'_> {
    /// White space and comments.
    fn space(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
            match self.rest.strip_prefix("/*").and_then(|comment| comment.split_once("*/")) {
                Some((_, after)) => self.rest = after,
                None => return,
            }
        }
    }

    /// Takes `token` if it comes next.
    fn take(&mut self, token: &str) -> bool {
        self.space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes a word of the long syntax, whatever its case.
    fn word(&mut self, word: &str) -> bool {
        self.space();
        let own = self.rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        let ends =
            self.rest[word.len().min(self.rest.len())..].chars().next().is_none_or(|c| !c.is_ascii_alphanumeric());
        if own && ends {
            self.rest = &self.rest[word.len()..];
        }
        own && ends
    }

    fn must(&mut self, token: &str, otherwise: &'static str) -> Read {
        if self.take(token) { Ok(()) } else { Err(otherwise) }
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, &'static str>) -> Result<T, &'static str> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("its brackets are nested too deeply");
        }
        let made = read(self);
        self.depth -= 1;
        made
    }

    /// Compound, refined or dotted, or one constraint alone.
    fn expression(&mut self) -> Read {
        self.deeper(|it| {
            it.constraint()?;
            if it.take(":") {
                it.refinement()?;
            } else if it.dot() {
                it.constraint()?;
                while it.dot() {
                    it.constraint()?;
                }
            } else {
                it.joined(&["AND", "OR", "MINUS"], Self::constraint)?;
            }
            it.space();
            Ok(())
        })
    }

    /// A dot that is no range.
    fn dot(&mut self) -> bool {
        self.space();
        !self.rest.starts_with("..") && self.take(".")
    }

    fn joint(&mut self, words: &[&'static str]) -> Option<&'static str> {
        self.space();
        if words.contains(&"AND") && self.take(",") {
            return Some("AND");
        }
        words.iter().copied().find(|word| self.word(word))
    }

    /// More of the same, all joined by one word. What is taken away is taken away once.
    fn joined(&mut self, words: &[&'static str], read: impl Fn(&mut Self) -> Read) -> Read {
        let Some(first) = self.joint(words) else { return Ok(()) };
        read(self)?;
        while let Some(next) = self.joint(words) {
            if next != first || first == "MINUS" {
                return Err("AND, OR and MINUS cannot stand side by side without brackets");
            }
            read(self)?;
        }
        Ok(())
    }

    /// `[operator] [^] (concept | ( expression ))`, with filters.
    fn constraint(&mut self) -> Read {
        self.space();
        if !OPERATORS.iter().any(|operator| self.take(operator)) {
            let _ = LONG_OPERATORS.iter().any(|operator| self.word(operator));
        }
        let is_member = self.take("^") || self.word("memberof");
        if is_member && self.take("[") {
            let end = self.rest.find(']').filter(|end| !self.rest[..*end].trim().is_empty());
            let end = end.ok_or("the fields after ^ are not named, or their bracket is not closed")?;
            self.rest = &self.rest[end + 1..];
        }
        if self.take("(") {
            self.expression()?;
            self.must(")", "a bracket is not closed")?;
        } else {
            self.concept()?;
        }
        while self.take("{{") {
            self.filter()?;
        }
        Ok(())
    }

    /// A wildcard, or an identifier with an optional name between bars.
    fn concept(&mut self) -> Read {
        if self.take("*") || self.word("any") {
            return Ok(());
        }
        self.space();
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            if !(6..=18).contains(&digits) || self.rest.starts_with('0') {
                return Err("a concept's identifier has 6 to 18 digits, the first of them no 0");
            }
            self.rest = &self.rest[digits..];
        } else {
            self.alternative()?;
        }
        if self.take("|") {
            let (name, after) = self.rest.split_once('|').ok_or("a concept's name has no second |")?;
            if name.trim().is_empty() {
                return Err("a concept's name is empty");
            }
            self.rest = after;
        }
        Ok(())
    }

    /// `scheme#code`, an identifier of another system.
    fn alternative(&mut self) -> Read {
        const WANTED: &str = "a concept is expected: its identifier, * or an expression in brackets";
        let (scheme, after) = self.rest.split_once('#').ok_or(WANTED)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let quoted = scheme.len() > 2 && scheme.starts_with('"') && scheme.ends_with('"');
        let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(plain);
        let code = after.find(|c: char| !plain(c)).unwrap_or(after.len());
        if !(quoted || named) || code == 0 {
            return Err(WANTED);
        }
        self.rest = &after[code..];
        Ok(())
    }

    /// After `{{`: conditions on descriptions, concepts or members, or `+HISTORY`. Their many keywords are not judged.
    fn filter(&mut self) -> Read {
        let mut quoted = false;
        let mut escaped = false;
        for (at, c) in self.rest.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                '}' if !quoted && self.rest[at..].starts_with("}}") => {
                    let inner = self.rest[..at].trim();
                    let says =
                        inner.starts_with('+') || COMPARISONS.iter().any(|comparison| inner.contains(comparison));
                    self.rest = &self.rest[at + 2..];
                    return if says { Ok(()) } else { Err("a filter between {{ and }} says nothing") };
                }
                _ => {}
            }
        }
        Err("a filter is not closed with }}")
    }

    fn refinement(&mut self) -> Read {
        self.deeper(|it| {
            it.refined()?;
            it.joined(&["AND", "OR"], Self::refined)
        })
    }

    /// An attribute, a group of them, or a refinement in brackets.
    fn refined(&mut self) -> Read {
        self.cardinality()?;
        if self.take("{") {
            self.deeper(|it| {
                it.attribute()?;
                it.joined(&["AND", "OR"], Self::attribute)
            })?;
            return self.must("}", "a group of attributes is not closed with }");
        }
        self.attribute()
    }

    /// `[min..max]`, if it is there.
    fn cardinality(&mut self) -> Read {
        const WANTED: &str = "how often is said like [0..1] or [1..*]";
        if !self.take("[") {
            return Ok(());
        }
        let (inner, after) = self.rest.split_once(']').ok_or(WANTED)?;
        let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let fits = inner.split_once("..").or_else(|| inner.split_once("to")).is_some_and(|(least, most)| {
            let (least, most) = (least.trim(), most.trim());
            number(least) && (most == "*" || most.eq_ignore_ascii_case("many") || number(most))
        });
        self.rest = after;
        if fits { Ok(()) } else { Err(WANTED) }
    }

    /// `name comparison value`; in brackets several.
    fn attribute(&mut self) -> Read {
        self.cardinality()?;
        self.space();
        // Brackets hold attributes, or a constraint that selects the attribute's name; what follows them tells
        if self.rest.starts_with('(') && !self.compares_after_bracket() {
            self.rest = &self.rest[1..];
            self.refinement()?;
            return self.must(")", "a bracket is not closed");
        }
        if self.word("reverseof") || self.reversed() {
            self.space();
        }
        self.constraint()?;
        let compares = COMPARISONS.iter().any(|comparison| self.take(comparison)) || self.word("not") && self.take("=");
        if !compares {
            return Err("an attribute is compared with nothing (=, !=, <, <=, >, >=)");
        }
        self.value()
    }

    /// Whether a comparison follows the bracket that opens here.
    fn compares_after_bracket(&self) -> bool {
        let (mut open, mut within) = (0_usize, None);
        for (at, c) in self.rest.char_indices() {
            match (within, c) {
                (Some(end), _) if c == end => within = None,
                (Some(_), _) => {}
                (None, '"' | '|') => within = Some(c),
                (None, '(') => open += 1,
                (None, ')') if open == 1 => {
                    let after = self.rest[at + 1..].trim_start();
                    return COMPARISONS.iter().any(|comparison| after.starts_with(comparison));
                }
                (None, ')') => open -= 1,
                _ => {}
            }
        }
        false
    }

    /// `R` before an attribute's name.
    fn reversed(&mut self) -> bool {
        let after = self.rest.strip_prefix(['R', 'r']);
        let is_flag = after.is_some_and(|after| after.starts_with([' ', '\t', '\n', '<', '>', '^', '(', '*']))
            || after.is_some_and(|after| after.starts_with(|c: char| c.is_ascii_digit()));
        if let Some(after) = after.filter(|_| is_flag) {
            self.rest = after;
        }
        is_flag
    }

    /// A number after `#`, text in quotes, true or false, or a constraint.
    fn value(&mut self) -> Read {
        self.space();
        if let Some(number) = self.rest.strip_prefix('#') {
            let end =
                number.find(|c: char| !(c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))).unwrap_or(number.len());
            let (number, after) = number.split_at(end);
            self.rest = after;
            return if number.parse::<f64>().is_ok() { Ok(()) } else { Err("after # a number is expected") };
        }
        if self.word("true") || self.word("false") {
            return Ok(());
        }
        let typed = ["match:", "wild:"].iter().any(|kind| self.take(kind));
        self.space();
        if typed || self.rest.starts_with('"') {
            return self.text();
        }
        if let Some(inner) = self.rest.strip_prefix('(')
            && inner.trim_start().starts_with('"')
        {
            self.rest = inner;
            while !self.take(")") {
                self.text()?;
            }
            return Ok(());
        }
        self.constraint()
    }

    fn text(&mut self) -> Read {
        self.must("\"", "text is written in quotes")?;
        let mut escaped = false;
        for (at, c) in self.rest.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(());
                }
                _ => {}
            }
        }
        Err("text has no closing quote")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After the examples of SNOMED's own guide.
    #[test]
    fn what_can_be_read() {
        for good in [
            "404684003",
            "404684003 |Clinical finding|",
            "*",
            "< 404684003 |Clinical finding|",
            "<<404684003",
            "<! 404684003",
            "<<! 404684003",
            ">! 404684003",
            ">>! 404684003",
            ">> 40541001 |Acute pulmonary edema|",
            "^ 700043003 |Example problem list concepts reference set|",
            "< (^ 700043003)",
            "^ [targetComponentId] 900000000000527005",
            "^ [*] 700043003",
            "!!> (>> 45133009 AND ^ 991411000000109)",
            "< 19829001 : 116676008 = 79654002",
            "< 19829001 |x|: 116676008 |y| = << 79654002 |z|, 363698007 = << 39057004",
            "< 404684003: { 363698007 = << 39057004, 116676008 = << 415582006 }, { 363698007 = << 53085002 }",
            "< 404684003: [1..3] 127489000 = < 105590001, [0..*] 127489000 = *",
            "< 404684003: [1..*] { [0..1] 127489000 = < 105590001 }",
            "< 105590001: R 127489000 = 249999999101",
            "< 125605004 . 363698007",
            "<  19829001 AND < 301867009",
            "< 19829001, < 301867009",
            "(< 19829001 AND < 301867009) OR ^ 700043003",
            "< 19829001 MINUS < 301867009",
            "< 373873005: 1142135004 >= #500, 732943007 != #-1.5",
            "< 373873005: 1142135004 = \"PANADOL\"",
            "< 373873005: 1142135004 = true",
            "< 373873005: 1142135004 = (\"a\" \"b\\\"c\")",
            "< 404684003: 363698007 = (< 39057004 AND ^ 700043003)",
            "< 404684003: (363698007 = < 39057004 OR 116676008 = *) AND 246075003 = *",
            "< 404684003: << 47429007 = < 267038008",
            "< 404684003: (<< 47429007 OR 363698007) = < 267038008",
            "< 64572001 {{ term = \"heart att\", language = en }}",
            "< 64572001 {{ D term = wild:\"*}}*\" }} {{ C definitionStatus = defined }}",
            "<< 195967001 {{ + HISTORY-MOD }}",
            "descendantOrSelfOf 404684003 |x| minus memberOf 700043003",
            "< 404684003 /* a comment */ : 363698007 = *",
            "LOINC#54486-6 |x|",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_cannot_be_read() {
        for bad in [
            "",
            " ",
            "<",
            "<< ",
            "< 404684003 |Clinical finding",
            "< 404684003 ||",
            "404",
            "0404684003",
            "1234567890123456789",
            "Clinical finding",
            "<<< 404684003",
            "(< 404684003",
            "< 404684003)",
            "< 404684003 AND",
            "AND < 404684003",
            "< 404684003 < 19829001",
            "< 404684003 AND < 19829001 OR < 301867009",
            "< 404684003 MINUS < 19829001 MINUS < 301867009",
            "< 404684003:",
            "< 404684003: 363698007",
            "< 404684003: 363698007 =",
            "< 404684003: = 39057004",
            "< 404684003: { 363698007 = 39057004",
            "< 404684003: [1.3] 127489000 = *",
            "< 404684003: [1..x] 127489000 = *",
            "< 404684003: 1142135004 >= #x",
            "< 404684003: 1142135004 = \"x",
            "< 404684003: 363698007 = * XOR 116676008 = *",
            "< 404684003 .",
            "^",
            "^ [] 700043003",
            "< 64572001 {{ term = \"x\" }",
            "< 64572001 {{ }}",
            "is-a 404684003",
            "#54486-6",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check(&"(".repeat(100_000)).is_err());
        assert!(check(&"< 404684003: (".repeat(10_000)).is_err());
    }

    #[test]
    fn value_sets_that_hold_one() {
        let of = |canonical: &str| of_value_set(canonical);
        assert_eq!(of("http://snomed.info/sct?fhir_vs=ecl/%3C%3C%20404684003").as_deref(), Some("<< 404684003"));
        assert_eq!(
            of("http://snomed.info/sct/900000000000207008/version/20240101?fhir_vs=ecl/*|1").as_deref(),
            Some("*")
        );
        assert_eq!(of("http://snomed.info/sct?fhir_vs=isa/404684003"), None);
        assert_eq!(of("http://loinc.org/vs"), None);
    }
}
