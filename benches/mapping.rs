//! What mapping costs: map and serialise against a conversion written by hand with serde (`hand/`) of the same object, in
//! one run and interleaved, their outputs compared first; and how it grows with rows and items.
//! `cargo bench --bench mapping`; with a word, only the rows that hold it.

mod hand;

use std::{hint::black_box, time::Instant};

use liaison::{
    fhir::{self, Value, canonically_equal},
    mapping::{Context, Mappings, Part, Plan},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

/// What a promise asks for, and what we aim at (`PROMISES`, P2 and P3).
const BY_HAND: (f64, f64) = (3.0, 2.0);
const TEN_TIMES: (f64, f64) = (12.0, 10.5);

fn main() {
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let mappings = Mappings::embedded().expect("the mappings that are built in");
    let context = Context::new(hand::INSTANCE);
    let mut table = Table { only: std::env::args().skip(1).find(|arg| !arg.starts_with('-')), good: true };
    println!("{:<44} {:>10} {:>10} {:>7} {:>7} {:>6}", "", "ours us", "other us", "ratio", "target", "aim");
    for (object, example) in EXAMPLES {
        let own = read(object, example);
        let plan = mappings.plan(object, "generic").expect("a plan");
        let bench = Bench { object, plan: &plan, context: &context, own };
        match object {
            "appointment" => bench.all(&mut table, hand::appointment::to_fhir, hand::appointment::to_internal),
            "patient" => bench.all(&mut table, hand::patient::to_fhir, hand::patient::to_internal),
            _ => bench.all(&mut table, hand::letter::to_fhir, hand::letter::to_internal),
        }
    }
    let plan = mappings.plan("appointment", "generic").expect("a plan");
    rows(&mut table, &plan, &context);
    items(&mut table, &plan, &context);
    println!("{}", if table.good { "all within the targets" } else { "a target is MISSED" });
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
        table.compare(&format!("{object}: to FHIR"), BY_HAND, || to_fhir(own), || by_hand(own));

        let text = bytes(own);
        let read_by_hand = || bytes(&out(serde_json::from_slice(&text).expect("its fields")));
        let read = || to_fhir(&fhir::read(&text).expect("JSON"));
        table.compare(&format!("{object}: to FHIR, from its bytes"), BY_HAND, read, read_by_hand);

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
        table.compare(&format!("{object}: into what the EHR holds"), BY_HAND, || put(&changed), || over(&changed));

        let resources = [fhir::read(&to_fhir(own)).expect("JSON")];
        let to_internal = || bytes(&plan.to_internal(&resources, context));
        let from_hand = || bytes(&back(F::deserialize(&resources[0]).expect("its elements")));
        same(&to_internal(), &from_hand());
        same(&to_internal(), &text);
        table.compare(&format!("{object}: to internal"), BY_HAND, to_internal, from_hand);
        let text = bytes(&resources[0]);
        let read = || bytes(&plan.to_internal(&[fhir::read(&text).expect("JSON")], context));
        let read_by_hand = || bytes(&back(serde_json::from_slice(&text).expect("its elements")));
        table.compare(&format!("{object}: to internal, from its bytes"), BY_HAND, read, read_by_hand);
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
        let mut out = Vec::new();
        for line in lines {
            let own = fhir::read(line).expect("JSON");
            for part in plan.to_fhir(&own, context).expect("says it") {
                serde_json::to_writer(&mut out, &part.resource).expect("memory");
                out.push(b'\n');
            }
        }
        out.len()
    };
    table.ten_times("10,000 rows / 1,000", |size, round| run(&lines[(round * size) % lines.len()..][..size]));
}

/// One object with 10,000 items in a list against one with 1,000: out, into a base, and back.
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
        sized.push((size, own, changed, base));
    }
    let of = |size: usize| sized.iter().find(|one| one.0 == size).expect("a size");
    table.ten_times("10,000 items / 1,000: to FHIR", |size, _| {
        bytes(&plan.to_fhir(&of(size).1, context).expect("says it")[0].resource).len()
    });
    table.ten_times("10,000 items / 1,000: into what the EHR holds", |size, _| {
        let (_, _, changed, base) = of(size);
        bytes(&plan.put(changed, base, context).expect("says it")[0].resource).len()
    });
    table.ten_times("10,000 items / 1,000: to internal", |size, _| {
        let resources = [of(size).3[0].resource.clone()];
        bytes(&plan.to_internal(&resources, context)).len()
    });
}

fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("JSON")
}

fn same(a: &[u8], b: &[u8]) {
    let (a, b) = (fhir::read(a).expect("JSON"), fhir::read(b).expect("JSON"));
    assert!(canonically_equal(&a, &b), "both must say the same\n{a:#}\n{b:#}");
}

/// Prints one row a comparison.
struct Table {
    only: Option<String>,
    good: bool,
}

impl Table {
    /// Medians of rounds that take turns.
    fn compare<T, U>(
        &mut self,
        name: &str,
        limits: (f64, f64),
        mut ours: impl FnMut() -> T,
        mut other: impl FnMut() -> U,
    ) {
        if self.only.as_ref().is_some_and(|only| !name.contains(only)) {
            return;
        }
        let (mut a, mut b) = (Vec::new(), Vec::new());
        // Short rounds: whoever else wants the processor seldom comes in between.
        for _ in 0..301 {
            a.push(time(10, &mut ours));
            b.push(time(20, &mut other));
        }
        self.row(name, median(a), median(b), limits);
    }

    /// Ten rounds of 1,000 for each of 10,000, taking turns; `work` is given the size and the round.
    fn ten_times(&mut self, name: &str, mut work: impl FnMut(usize, usize) -> usize) {
        if self.only.as_ref().is_some_and(|only| !name.contains(only)) {
            return;
        }
        let (mut large, mut small) = (Vec::new(), Vec::new());
        for _ in 0..11 {
            let start = spent();
            for round in 0..10 {
                black_box(work(1_000, round));
            }
            let between = spent();
            black_box(work(10_000, 0));
            small.push((between - start) / 10.0);
            large.push(spent() - between);
        }
        self.row(name, median(large), median(small), TEN_TIMES);
    }

    fn row(&mut self, name: &str, ours: f64, other: f64, (target, aim): (f64, f64)) {
        let ratio = ours / other;
        self.good &= ratio <= target;
        let verdict = if ratio <= aim {
            ""
        } else if ratio <= target {
            "above the aim"
        } else {
            "MISSED"
        };
        let (ours, other) = (ours * 1e6, other * 1e6);
        println!("{name:<44} {ours:>10.2} {other:>10.2} {ratio:>7.2} {target:>7} {aim:>6} {verdict}");
    }
}

fn time<T>(rounds: usize, work: &mut impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    for _ in 0..rounds {
        black_box(work());
    }
    start.elapsed().as_secs_f64() / rounds as f64
}

/// Seconds that this thread has been on a processor (`man 5 proc_pid_schedstat`, in steps of some milliseconds), else
/// since the start: for what takes so long that others get the processor in between.
fn spent() -> f64 {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|text| text.parse::<f64>().ok());
    nanoseconds.map_or_else(|| START.elapsed().as_secs_f64(), |nanoseconds| nanoseconds / 1e9)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
