//! Trouble with an EHR as a whole, or with one of its lists.

use liaison::{
    rest,
    sync::{AuthConfig, SystemConfig},
};

use super::{AT_ONCE, DAY, FETCH, LOOK, Row, SECOND, Stage, TOLD, about, any, defaults, of_system, patient, row};
use crate::{ehr::Reply, stage::Seen};

/// No secret can be read.
fn without_secret(config: &mut SystemConfig) {
    defaults(config);
    config.auth = AuthConfig::Bearer { token_file: None, token_env: Some("LIAISON_SIM_NO_SUCH_VARIABLE".to_owned()) };
}

/// From two minutes on everything is answered so, and something is to be pushed, or not.
async fn all(stage: &mut Stage, reply: Reply, pushes: bool) -> Seen {
    stage.push("patient", patient("p-1"), false).await.expect("accepted");
    stage.synced("patient", "p-1").await;
    stage.sleep(113).await;
    stage.ehr().rule(move |_| Some(reply));
    let begin = stage.now();
    if pushes {
        stage.push("patient", patient("p-2"), false).await.expect("accepted");
    }
    stage.shown(begin, 2 * LOOK, of_system).await
}

/// From two minutes on the lists of patients are answered so.
async fn list(stage: &mut Stage, reply: Reply) -> Seen {
    stage.push("patient", patient("p-1"), false).await.expect("accepted");
    stage.synced("patient", "p-1").await;
    stage.sleep(113).await;
    stage.ehr().rule(move |request| is_list(request).then_some(reply));
    stage.shown(stage.now(), 3 * LOOK, any).await
}

fn is_list(request: &rest::Request) -> bool {
    request.path == "Patient" && request.method == rest::Method::Get && !request.query.contains("identifier=")
}

pub fn rows() -> Vec<Row> {
    let refused = Reply::Status(401, None);
    let away = FETCH + TOLD + AT_ONCE;
    let mut rows = vec![
        row("401 for everything, while something is pushed", AT_ONCE, defaults, async |stage| {
            all(stage, refused, true).await
        })
        .down_within(AT_ONCE),
        row("401 for everything, nothing is pushed", FETCH + AT_ONCE, defaults, async |stage| {
            all(stage, refused, false).await
        })
        .down_within(FETCH + AT_ONCE),
        row("a secret that cannot be used", AT_ONCE, without_secret, async |stage| {
            stage.shown(stage.now(), LOOK, of_system).await
        })
        .down_within(AT_ONCE),
        row("everything is redirected to another address", FETCH + AT_ONCE, defaults, async |stage| {
            all(stage, Reply::Status(302, None), true).await
        })
        .down_within(FETCH + AT_ONCE),
    ];
    for (trouble, reply) in [
        ("no connection can be made", Reply::NotSent),
        ("connections break, nothing is answered", Reply::Dropped),
        ("500 for everything", Reply::Status(500, None)),
        ("503 for everything, with Retry-After", Reply::Status(503, Some(30))),
        ("429 for everything, with Retry-After", Reply::Status(429, Some(30))),
        ("429 for everything", Reply::Status(429, None)),
    ] {
        // Without an answer each request takes as long as we wait.
        let slack = if reply == Reply::Dropped { 4 * AT_ONCE } else { AT_ONCE };
        let each = row(trouble, away + slack, defaults, async move |stage: &mut Stage| all(stage, reply, false).await);
        rows.push(each.down_within(FETCH + slack));
    }
    rows.push(row("an EHR out of reach: an object of its own", DAY + LOOK, defaults, async |stage| {
        stage.ehr().rule(|_| Some(Reply::NotSent));
        let begin = stage.now();
        stage.push("patient", patient("p-1"), false).await.expect("accepted");
        stage.shown(begin, DAY + 3 * LOOK, about("p-1")).await
    }));
    // The third round comes 30 s after the second, which comes 30 s after the first.
    let third = 3 * FETCH + FETCH + AT_ONCE;
    rows.push(row("lists of one type answer with a page for people", third, defaults, async |stage| {
        list(stage, Reply::Html).await
    }));
    // As long as it may be the EHR as a whole it is that one's matter.
    rows.push(row(
        "lists of one type answer 500, all else is well",
        FETCH + 2 * TOLD + AT_ONCE,
        defaults,
        async |stage| list(stage, Reply::Status(500, None)).await,
    ));
    for (trouble, status) in [("lists of one type answer 403", 403), ("lists of one type answer 400", 400)] {
        rows.push(row(trouble, FETCH + AT_ONCE + SECOND, defaults, async move |stage: &mut Stage| {
            list(stage, Reply::Status(status, None)).await
        }));
    }
    rows
}
