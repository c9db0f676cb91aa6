//! Damage to narratives.

use fastrand::Rng;
use liaison::fhir::Value;
use serde_json::json;

use super::{
    kinds::{one, set},
    spots::Spot,
};

type Done = Option<(Value, String)>;

const OPEN: &str = "<div xmlns=\"http://www.w3.org/1999/xhtml\">";

fn narrated(base: &Value, div: &str) -> Done {
    let (made, at) = set(base, "", "text", json!({"status": "generated", "div": div}));
    Some((made, format!("{at}/div")))
}

/// Elements and attributes that FHIR does not allow.
pub fn forbidden(base: &Value, _: &[Spot], random: &mut Rng) -> Done {
    let inner = one(
        &[
            "<script>x</script>",
            "<p onclick=\"x()\">x</p>",
            "<iframe src=\"http://example.org\">x</iframe>",
            "<form><p>x</p></form>",
            "<p>x<input type=\"text\"/></p>",
            "<object>x</object>",
            "<a href=\"javascript:x()\">x</a>",
            "<style>p {}</style>",
            "<link rel=\"x\" href=\"y\"/>x",
            "<p><p>x</p></p>",
            "<ul><p>x</p></ul>",
            "<p ng-app=\"x\">y</p>",
            "<video>x</video>",
            "<font color=\"red\">x</font>",
        ],
        random,
    );
    narrated(base, &format!("{OPEN}{inner}</div>"))
}

/// No XML.
pub fn malformed(base: &Value, _: &[Spot], random: &mut Rng) -> Done {
    let inner = one(
        &[
            "<p>x",
            "<p>x</b></p>",
            "a & b",
            "<p class=x>y</p>",
            "<p title>y</p>",
            "x < y",
            "<br>x",
            "&amp x",
            "<p title=\"a<b\">y</p>",
        ],
        random,
    );
    narrated(base, &format!("{OPEN}{inner}</div>"))
}

/// The frame around: namespace, root, nothing in it, the status.
pub fn frame(base: &Value, _: &[Spot], random: &mut Rng) -> Done {
    let div = match random.u8(..8) {
        0 => "<div>x</div>".to_owned(),
        1 => "<div xmlns=\"http://www.w3.org/TR/xhtml\">x</div>".to_owned(),
        2 => "<p xmlns=\"http://www.w3.org/1999/xhtml\">x</p>".to_owned(),
        3 => format!("{OPEN}</div>"),
        4 => "x".to_owned(),
        5 => format!("{OPEN}x</div>y"),
        6 => {
            let (made, at) = set(base, "", "text", json!({"status": "nonsense", "div": format!("{OPEN}x</div>")}));
            return Some((made, format!("{at}/status")));
        }
        _ => {
            let (made, at) = set(base, "", "text", json!({"div": format!("{OPEN}x</div>")}));
            return Some((made, format!("{at}/status")));
        }
    };
    narrated(base, &div)
}

/// What XML has no entity for.
pub fn entity(base: &Value, _: &[Spot], random: &mut Rng) -> Done {
    let inner = one(
        &[
            "a&nbsp;b",
            "&copy; x",
            "x &eacute;",
            "&ldquo;x&rdquo;",
            "&bogus;x",
            "x&mdash;y",
            "&hellip;",
            "<p title=\"&nbsp;\">x</p>",
        ],
        random,
    );
    narrated(base, &format!("{OPEN}{inner}</div>"))
}
