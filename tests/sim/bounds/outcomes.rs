//! It is not known whether a write arrived; and trouble of the gateway's own.

use liaison::rest::Method;

use super::{AT_ONCE, DAY, LOOK, MINUTE, Row, Stage, about, patient, push_only, row};
use crate::{ehr::Reply, stage::Seen};

/// Looks for the one that is in doubt.
fn is_search(request: &liaison::rest::Request) -> bool {
    request.method == Method::Get && request.query.contains("identifier=") && request.query.contains("p-1")
}

/// The first create's outcome is not known, and looking for it is answered so from then on.
async fn unknown(stage: &mut Stage, outcome: Reply, looks: Option<Reply>, most: std::time::Duration) -> Seen {
    let ehr = stage.ehr();
    let left = std::sync::atomic::AtomicBool::new(false);
    ehr.rule(move |request| {
        let first = request.method == Method::Post && !left.swap(true, std::sync::atomic::Ordering::Relaxed);
        first.then_some(outcome)
    });
    if let Some(reply) = looks {
        ehr.rule(move |request| is_search(request).then_some(reply));
    }
    let begin = stage.now();
    stage.push("patient", patient("p-1"), false).await.expect("accepted");
    stage.shown(begin, most, about("p-1")).await
}

pub fn rows() -> Vec<Row> {
    vec![
        // Until the answer is given up there is nothing to know.
        row("a create's outcome is unknown, the search shows nothing", MINUTE, push_only, async |stage| {
            unknown(stage, Reply::Lost, Some(Reply::Nothing), LOOK).await
        }),
        row("… and reading back is refused (403)", MINUTE, push_only, async |stage| {
            unknown(stage, Reply::Lost, Some(Reply::Status(403, None)), LOOK).await
        }),
        row("… and reading back is refused (400)", MINUTE, push_only, async |stage| {
            unknown(stage, Reply::Lost, Some(Reply::Status(400, None)), LOOK).await
        }),
        row("… and reading back fails (500)", DAY + LOOK, push_only, async |stage| {
            unknown(stage, Reply::Lost, Some(Reply::Status(500, None)), DAY + 3 * LOOK).await
        }),
        row("… and the search may be up to ten minutes behind", 5 * MINUTE + MINUTE, push_only, async |stage| {
            lagging(stage, 600).await
        }),
        row("… and the search may be up to a day behind", 5 * MINUTE + MINUTE, push_only, async |stage| {
            lagging(stage, 24 * 3600).await
        }),
        row("the ledger's disk is full: the caller is told", AT_ONCE, push_only, async |stage| {
            let begin = stage.now();
            stage.world.disk.fill(0, true, 600);
            let refused = stage.push("patient", patient("p-1"), false).await.expect_err("507");
            assert!(refused.is_disk(), "{refused}");
            assert!(stage.ledger.is_ready().is_err(), "/readyz says so");
            Seen {
                item: Some((stage.now() - begin, serde_json::json!({"kind": "507", "code": "to the caller"}))),
                down: None,
            }
        }),
    ]
}

/// The last that was created before is shown, which tells only that the search is less than so many seconds behind.
async fn lagging(stage: &mut Stage, behind: u64) -> Seen {
    stage.push("patient", patient("p-0"), false).await.expect("accepted");
    stage.synced("patient", "p-0").await;
    stage.sleep(behind).await;
    unknown(stage, Reply::Dropped, Some(Reply::Nothing), LOOK).await
}
