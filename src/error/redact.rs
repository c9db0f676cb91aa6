//! What is shown to people and logs loses the user names and passwords that addresses may carry
//! (`https://user:secret@host`). The last step before a text leaves, so that no message has to think of it.

use std::borrow::Cow;

/// The text without user names and passwords of addresses: `https://…@host`.
#[must_use]
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    if !text.contains('@') {
        return Cow::Borrowed(text);
    }
    let ends_word = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>');
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(ends_word) {
        let word = piece.trim_end_matches(ends_word);
        match user_info(word) {
            Some((from, to)) => {
                out.push_str(&word[..from]);
                out.push('…');
                out.push_str(&word[to..]);
            }
            None => out.push_str(word),
        }
        out.push_str(&piece[word.len()..]);
    }
    Cow::Owned(out)
}

/// Where the user's name and password stand in a word, up to the `@`.
fn user_info(word: &str) -> Option<(usize, usize)> {
    let Some(from) = word.find("//").map(|at| at + 2) else {
        // `user:secret@host`, as people write it who forget the scheme.
        let (colon, at) = (word.find(':')?, word.rfind('@')?);
        let from = word.find(|c: char| !matches!(c, '(' | '[' | '{')).unwrap_or(0);
        return (colon < at).then_some((from, at));
    };
    let rest = &word[from..];
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if let Some(at) = authority.rfind('@') {
        return Some((from, from + at));
    }
    // A password with a slash in it looks like the end of the host.
    let (_, port) = authority.split_once(':')?;
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    rest.rfind('@').filter(|_| !is_port).map(|at| (from, from + at))
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn addresses_lose_what_is_secret_and_nothing_else() {
        for (text, shown) in [
            ("the gateway at http://u:secret@127.0.0.1:1 cannot", "the gateway at http://…@127.0.0.1:1 cannot"),
            ("(https://u:se@cret@host/fhir?a=b)", "(https://…@host/fhir?a=b)"),
            ("base_url = \"https://u:sec/ret@host/fhir\"", "base_url = \"https://…@host/fhir\""),
            ("u:secret@127.0.0.1:8080: no address", "…@127.0.0.1:8080: no address"),
            ("https://token@host", "https://…@host"),
            ("//u:secret@host", "//…@host"),
            ("http://host:8080/a?mail=ann@example.org", "http://host:8080/a?mail=ann@example.org"),
            ("http://host/a@b is fine, so is ann@example.org", "http://host/a@b is fine, so is ann@example.org"),
            ("{\"url\":\"http://u:p@h\",\"x\":\"y\"}", "{\"url\":\"http://…@h\",\"x\":\"y\"}"),
        ] {
            assert_eq!(without_secrets(text), shown);
        }
    }
}
