//! New mappings without a restart: SIGHUP reads them again; a mistake or a broken law leaves everything as it was.

use std::{path::Path, time::Duration};

use liaison::{laws::Proofs, mapping::Mappings};
use serde_json::Value;

use crate::support::{Server, block_on, client, root, send, wait_for};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            assert!(std::fs::copy(entry.path(), target).is_ok())
        }
    }
}

#[test]
fn sighup_takes_good_mappings_into_use_and_leaves_bad_ones_alone() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("mappings/slot");
    copy(&root().join("mappings/slot"), &own);
    let file = own.join("mapping.yaml");
    let original = std::fs::read_to_string(&file).unwrap();
    assert!(original.contains("plural: slots"), "the test renames the plural");
    let write =
        |plural: &str| std::fs::write(&file, original.replace("plural: slots", &format!("plural: {plural}"))).unwrap();

    write("openings");
    let config = folder.path().join("liaison.toml");
    let (ledger, mappings) = (folder.path().join("ledger"), folder.path().join("mappings"));
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[ledger]\npath = {:?}\n[mappings]\ndir = {:?}\n",
        ledger.display().to_string(),
        mappings.display().to_string()
    );
    std::fs::write(&config, text).unwrap();
    // The laws of what is written here were proven under another plural; noting that in the gateway's cache spares
    // this test a proof of minutes (`tests/laws.rs` and `mappings check` make them).
    let write = |plural: &str| {
        std::fs::write(&file, original.replace("plural: slots", &format!("plural: {plural}"))).unwrap();
        let set = Mappings::load(&mappings).unwrap();
        let mut proofs = Proofs::default();
        set.plans().for_each(|plan| proofs.add(plan, usize::MAX));
        proofs.write(&ledger.join("proofs")).unwrap();
    };
    write("openings");
    let gateway = Server::gateway(&config);
    block_on(async {
        let client = client();
        let status = async |plural: &str| {
            let url = format!("{}/api/v1/{plural}", gateway.url);
            send(&client, "GET", &url, &[], &Value::Null).await.expect("an answer").status
        };
        assert_eq!((status("openings").await, status("slots").await), (200, 404));

        std::fs::write(&file, original.replace("target: Slot.", "target: Slot.no_such_")).unwrap();
        gateway.signal("HUP");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!((status("openings").await, status("slots").await), (200, 404), "a broken mapping changes nothing");

        write("free-times");
        gateway.signal("HUP");
        wait_for("the new plural", Duration::from_secs(120), async || {
            (status("free-times").await == 200).then_some(())
        })
        .await;
        assert_eq!(status("openings").await, 404);
    });
}
