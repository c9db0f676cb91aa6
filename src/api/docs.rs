//! `/docs` and `/docs/errors/CODE`: the error pages for people, as plain HTML under a strict policy: nothing is loaded but
//! our own style sheet, everything is escaped. Of Markdown only what the pages use: headings, bold, code, paragraphs.

use std::fmt::Write as _;

use axum::{
    body::Body,
    http::{Response, StatusCode, header},
};

use super::{
    ApiError, Ask,
    reply::{Answered, with},
    routes::ROUTES,
};
use crate::error::{page, pages};

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;\
color:#1a1a1a;background:#fff}h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:1.5rem}code{background:#f0f0f0;\
padding:0 .2em}a{color:#0b5394}li{margin:.2rem 0}";

/// Text for HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Bold and code inside escaped text.
fn inline(text: &str) -> String {
    let mut out = String::new();
    for (at, piece) in escaped(text).split('`').enumerate() {
        if at % 2 == 1 {
            let _ = write!(out, "<code>{piece}</code>");
            continue;
        }
        for (at, piece) in piece.split("**").enumerate() {
            let _ = if at % 2 == 1 { write!(out, "<strong>{piece}</strong>") } else { write!(out, "{piece}") };
        }
    }
    out
}

fn blocks(markdown: &str) -> String {
    let mut out = String::new();
    for line in markdown.lines().filter(|line| !line.trim().is_empty()) {
        let _ = match line.strip_prefix("## ") {
            Some(heading) => writeln!(out, "<h2>{}</h2>", inline(heading)),
            None => writeln!(out, "<p>{}</p>", inline(line)),
        };
    }
    out
}

fn html(title: &str, body: &str) -> Answered {
    let text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}</title><link rel=\"stylesheet\" href=\"/docs/style.css\"></head>\n\
         <body>\n<h1>{title}</h1>\n{body}</body></html>\n",
        title = escaped(title),
    );
    Ok(with(Response::new(Body::from(text)), header::CONTENT_TYPE, "text/html; charset=utf-8"))
}

/// `GET /`: to where a person finds on.
pub(super) async fn home(ask: Ask) -> Answered {
    ask.query(&[])?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    Ok(with(response, header::LOCATION, "/docs"))
}

fn list_routes(body: &mut String) {
    for route in ROUTES.iter().filter(|route| route.path.starts_with("/api/")) {
        let _ =
            writeln!(body, "<li><code>{} {}</code> {}</li>", route.method, escaped(route.path), escaped(route.summary));
    }
}

/// `GET /docs`
pub(super) async fn index(_: Ask) -> Answered {
    let mut body = String::from(
        "<p>Liaison stands between the tools of a practice and the EHRs. For programs: \
         <a href=\"/openapi.json\">openapi.json</a>, <a href=\"/fhir/metadata\">/fhir/metadata</a>.</p>\n<h2>Routes</h2>\n<ul>\n",
    );
    list_routes(&mut body);
    body.push_str(
        "</ul>\n<p>To try one: <code>curl -H 'Idempotency-Key: 1' -H 'Content-Type: application/json' \
         -d '{&quot;names&quot;:[{&quot;family&quot;:&quot;Example&quot;}]}' \
         http://127.0.0.1:8080/api/v1/patients</code></p>\n<h2>Every error and what to do about it</h2>\n<ul>\n",
    );
    for page in pages().values() {
        let _ = writeln!(
            body,
            "<li><a href=\"/docs/errors/{code}\">{code}</a> {title}</li>",
            code = page.code,
            title = escaped(page.title)
        );
    }
    body.push_str("</ul>\n");
    html("Liaison", &body)
}

/// `GET /docs/errors/{code}`
pub(super) async fn error(ask: Ask) -> Answered {
    let page = page(ask.param("code")).ok_or(ApiError::NotFound("there is no error with this code"))?;
    let status = format!("<p><code>{}</code>, HTTP status {}</p>\n", page.code, page.status);
    let back = "<p><a href=\"/docs\">All errors</a></p>\n";
    html(page.title, &format!("{status}{}{back}", blocks(page.body)))
}

/// `GET /docs/style.css`
pub(super) async fn style(_: Ask) -> Answered {
    Ok(with(Response::new(Body::from(STYLE)), header::CONTENT_TYPE, "text/css; charset=utf-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_escaped() {
        let shown = blocks("## <script>\n**a** `b <i>` \"c\"\n");
        assert_eq!(
            shown,
            "<h2>&lt;script&gt;</h2>\n<p><strong>a</strong> <code>b &lt;i&gt;</code> &quot;c&quot;</p>\n"
        );
    }
}
