//! What mapping costs: map and serialise against a conversion written by hand with serde (`hand/`) of the same object, in
//! one run and interleaved, their outputs compared first; and how it grows with rows and items.
//! `cargo bench --bench mapping`, or only `-- hand`, `-- times` or `-- documents`.

mod hand;
mod support;

use std::{
    future::poll_fn,
    hint::black_box,
    io::{self, BufWriter, Write as _},
    pin::Pin,
};

use http_body::Body as _;

use liaison::{
    ehr::{Body, Content},
    fhir::{self, Value, canonically_equal},
    mapping::{Context, Mappings, Part, Plan},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use support::{Table, asked, median, memory_kib, only_checked, time, versus};

/// What a promise asks for, and what we aim at (`PROMISES`, P2 and P3).
const BY_HAND: (f64, f64) = (3.0, 2.0);
const TEN_TIMES: (f64, f64) = (12.0, 10.5);

fn main() {
    if only_checked() {
        return;
    }
    let mappings = Mappings::embedded().expect("the mappings that are built in");
    let context = Context::new(hand::INSTANCE);
    if asked("hand") {
        let mut table = Table::new("Map and serialise / a conversion written by hand (P3)");
        for (object, example) in EXAMPLES {
            let own = read(object, example);
            let plan = mappings.plan(object, "generic").expect("a plan");
            table.note(&format!("{object}, {example}"));
            let bench = Bench { object, plan: &plan, context: &context, own };
            match object {
                "appointment" => bench.all(&mut table, hand::appointment::to_fhir, hand::appointment::to_internal),
                "patient" => bench.all(&mut table, hand::patient::to_fhir, hand::patient::to_internal),
                _ => bench.all(&mut table, hand::letter::to_fhir, hand::letter::to_internal),
            }
        }
        table.finish();
    }
    if asked("times") {
        let mut table = Table::new("Time for 10,000 / 1,000 (P2)");
        let plan = mappings.plan("appointment", "generic").expect("a plan");
        rows(&mut table, &plan, &context);
        items(&mut table, &plan, &context);
        table.finish();
    }
    if asked("documents") {
        let mut table = Table::new("A letter with a PDF of 50 MB, mapped and put on the wire");
        documents(&mut table, &mappings.plan("letter", "generic").expect("a plan"), &context);
        table.finish();
    }
}

const EXAMPLES: [(&str, &str); 4] = [
    ("appointment", "booked-check-up"),
    ("appointment", "video-visit-over-clock-change"),
    ("patient", "full-record"),
    ("letter", "referral-letter-pdf"),
];

fn read(object: &str, example: &str) -> Value {
    let path = format!("{}/mappings/{object}/examples/{example}.internal.json", env!("CARGO_MANIFEST_DIR"));
    fhir::read(&std::fs::read(path).expect("an example")).expect("JSON")
}

/// One object, both ways and into a base.
struct Bench<'a> {
    object: &'a str,
    plan: &'a Plan,
    context: &'a Context,
    own: Value,
}

impl Bench<'_> {
    fn all<I, F>(&self, table: &mut Table, out: fn(I) -> F, back: fn(F) -> I)
    where
        I: DeserializeOwned + Serialize,
        F: DeserializeOwned + Serialize,
    {
        let Self { object, plan, context, own } = self;
        let to_fhir = |own: &Value| bytes(&plan.to_fhir(own, context).expect("says it")[0].resource);
        let by_hand = |own: &Value| bytes(&out(I::deserialize(own).expect("its fields")));
        same(&to_fhir(own), &by_hand(own));
        compare(table, &format!("{object}: to FHIR"), || to_fhir(own), || by_hand(own));

        let text = bytes(own);
        let read_by_hand = || bytes(&out(serde_json::from_slice(&text).expect("its fields")));
        let read = || to_fhir(&fhir::read(&text).expect("JSON"));
        compare(table, &format!("{object}: to FHIR, from its bytes"), read, read_by_hand);

        // What the EHR holds, with what nobody here knows; one field is changed.
        let mut base = fhir::read(&to_fhir(own)).expect("JSON");
        for (name, value) in [("id", json!("17")), ("meta", json!({ "versionId": "3" })), ("language", json!("en"))] {
            base[name] = value;
        }
        let base = Part::new("main", base);
        let mut changed = self.own.clone();
        changed["identifiers"] = json!([{ "system": "urn:other", "value": "1" }]);
        let put =
            |own: &Value| bytes(&plan.put(own, std::slice::from_ref(&base), context).expect("says it")[0].resource);
        // By hand: our members over a copy of theirs (what stands beside them is kept, what stands in them is not).
        let over = |own: &Value| {
            let Ok(Value::Object(ours)) = serde_json::to_value(out(I::deserialize(own).expect("its fields"))) else {
                panic!("an object")
            };
            let mut resource = base.resource.clone();
            resource.as_object_mut().expect("an object").extend(ours);
            bytes(&resource)
        };
        same(&put(&changed), &over(&changed));
        compare(table, &format!("{object}: into what the EHR holds"), || put(&changed), || over(&changed));

        let resources = [fhir::read(&to_fhir(own)).expect("JSON")];
        let to_internal = || bytes(&plan.to_internal(&resources, context));
        let from_hand = || bytes(&back(F::deserialize(&resources[0]).expect("its elements")));
        same(&to_internal(), &from_hand());
        same(&to_internal(), &text);
        compare(table, &format!("{object}: to internal"), to_internal, from_hand);
        let text = bytes(&resources[0]);
        let read = || bytes(&plan.to_internal(&[fhir::read(&text).expect("JSON")], context));
        let read_by_hand = || bytes(&back(serde_json::from_slice(&text).expect("its elements")));
        compare(table, &format!("{object}: to internal, from its bytes"), read, read_by_hand);
    }
}

/// 10,000 objects against 1,000, each read, mapped and written as a line.
fn rows(table: &mut Table, plan: &Plan, context: &Context) {
    let own = read("appointment", "video-visit-over-clock-change");
    let lines: Vec<Vec<u8>> = (0..10_000)
        .map(|number| {
            let mut own = own.clone();
            own["id"] = json!(format!("a-{number}"));
            bytes(&own)
        })
        .collect();
    let run = |lines: &[Vec<u8>]| {
        // Lines leave as they are made, as from `translate`: what is collected here would be memory's growth, not mapping's.
        let mut out = BufWriter::new(io::sink());
        for line in lines {
            let own = fhir::read(line).expect("JSON");
            for part in plan.to_fhir(&own, context).expect("says it") {
                serde_json::to_writer(&mut out, &part.resource).expect("a sink");
                out.write_all(b"\n").expect("a sink");
            }
        }
        out.flush().expect("a sink");
        lines.len()
    };
    ten_times(table, "10,000 rows / 1,000", |size, round| run(&lines[(round * size) % lines.len()..][..size]));
}

/// One object with 10,000 items in a list against one with 1,000: out, into a base, and back. Beside it the same by hand:
/// what is above ten there is the machine's memory, not the mapping.
fn items(table: &mut Table, plan: &Plan, context: &Context) {
    let mut sized = Vec::new();
    for size in [1_000, 10_000] {
        let mut own = read("appointment", "booked-check-up");
        let item =
            |number: usize| json!({ "who": { "object": "patient", "id": format!("p-{number}") }, "reply": "accepted" });
        own["participants"] = (0..size).map(item).collect();
        let base = plan.to_fhir(&own, context).expect("says it");
        let mut changed = own.clone();
        changed["participants"][size / 2]["reply"] = json!("declined");
        let resources = [base[0].resource.clone()];
        sized.push((size, own, changed, base, resources));
    }
    let of = |size: usize| sized.iter().find(|one| one.0 == size).expect("a size");
    ten_times(table, "10,000 items / 1,000: to FHIR", |size, _| {
        bytes(&plan.to_fhir(&of(size).1, context).expect("says it")[0].resource).len()
    });
    by_hand(table, |size| {
        bytes(&hand::appointment::to_fhir(Deserialize::deserialize(&of(size).1).expect("its fields"))).len()
    });
    ten_times(table, "10,000 items / 1,000: into what the EHR holds", |size, _| {
        let (_, _, changed, base, _) = of(size);
        bytes(&plan.put(changed, base, context).expect("says it")[0].resource).len()
    });
    ten_times(table, "10,000 items / 1,000: to internal", |size, _| {
        bytes(&plan.to_internal(&of(size).4, context)).len()
    });
    by_hand(table, |size| {
        bytes(&hand::appointment::to_internal(Deserialize::deserialize(&of(size).4[0]).expect("its elements"))).len()
    });
}

/// How the same grows by hand.
fn by_hand(table: &mut Table, mut work: impl FnMut(usize) -> usize) {
    let (large, small) = grown(&mut |size, _| work(size));
    table.note(&format!("by hand {:.2} x", large / small));
}

/// A letter with an uploaded file, from the object to the last byte of the request; memory against the same with little.
fn documents(table: &mut Table, plan: &Plan, context: &Context) {
    const LARGE: u64 = 50_000_000;
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let send = |size: u64| {
        let path = folder.path().join(size.to_string());
        let mut own = read("letter", "uploaded-file");
        own["files"][0]["file"]["size"] = json!(size);
        let parts = plan.to_fhir(&own, context).expect("says it");
        let binary = parts.iter().find(|part| part.attachment().is_some()).expect("a Binary");
        let mut resource = binary.resource.clone();
        resource["data"] = binary.attachment().into();
        let body = Body::json(&resource, |_| Ok::<_, ()>(Content::File { path: path.clone(), size })).expect("a body");
        runtime.block_on(async {
            let (mut stream, mut sent) = (body.stream(), 0);
            while let Some(frame) = poll_fn(|context| Pin::new(&mut stream).poll_frame(context)).await {
                sent += frame.expect("the file").into_data().expect("bytes").len() as u64;
            }
            assert_eq!(sent, body.length());
        });
    };
    for size in [200_000, LARGE] {
        std::fs::write(folder.path().join(size.to_string()), vec![7; size as usize]).expect("a file");
    }
    // The peak is the process's: what was needed to make the file must be gone and forgotten first.
    let forget = || std::fs::write("/proc/self/clear_refs", "5").is_ok();
    send(200_000);
    if forget() {
        let before = memory_kib("self", "VmHWM");
        send(LARGE);
        let more = memory_kib("self", "VmHWM").saturating_sub(before) as f64 / 1024.0;
        table.most("peak memory more than with 200 kB", more, "MiB", Some(30.0), Some(8.0));
    }
    let start = std::time::Instant::now();
    send(LARGE);
    table.note(&format!("{:.0} ms for 50 MB", start.elapsed().as_secs_f64() * 1e3));
}

fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("JSON")
}

fn same(a: &[u8], b: &[u8]) {
    let (a, b) = (fhir::read(a).expect("JSON"), fhir::read(b).expect("JSON"));
    assert!(canonically_equal(&a, &b), "both must say the same\n{a:#}\n{b:#}");
}

/// Ours against another way, in turns.
fn compare<T, U>(table: &mut Table, name: &str, mut ours: impl FnMut() -> T, mut other: impl FnMut() -> U) {
    let found = versus(41, || drop(black_box(ours())), || drop(black_box(other())));
    table.most(name, found.ratio, "x", Some(BY_HAND.0), Some(BY_HAND.1));
    table.note(&format!("{:.2} us, by hand {:.2} us", found.a_s * 1e6, found.b_s * 1e6));
}

/// Ten rounds of 1,000 for each of 10,000, taking turns; `work` is given the size and the round.
fn ten_times(table: &mut Table, name: &str, mut work: impl FnMut(usize, usize) -> usize) {
    let (large, small) = grown(&mut work);
    table.most(name, large / small, "x", Some(TEN_TIMES.0), Some(TEN_TIMES.1));
    table.note(&format!("{:.2} ms for 1,000", small * 1e3));
}

/// Medians of both.
fn grown(work: &mut dyn FnMut(usize, usize) -> usize) -> (f64, f64) {
    let (mut large, mut small) = (Vec::new(), Vec::new());
    for _ in 0..11 {
        for round in 0..10 {
            small.push(time(1, &mut || {
                black_box(work(1_000, round));
            }));
        }
        large.push(time(1, &mut || {
            black_box(work(10_000, 0));
        }));
    }
    (median(&mut large), median(&mut small))
}
