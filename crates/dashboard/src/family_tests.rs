//! Large families.

use crate::site_tests::Site;
use axum::http::StatusCode;
use counterfoil_store::Batch;
use counterfoil_testkit::store_suite::copy_of;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::Envelope;
use counterfoil_toolbox::names::TaskName;
use uuid::{NoContext, Timestamp, Uuid};

/// More than a page shows.
const MANY: usize = 250;

/// Members whose links a page has.
const SHOWN: usize = 200;

fn sent_in_second(second: usize) -> TaskId {
    let at = Timestamp::from_unix(NoContext, 1_700_000_000 + second as u64, 0);
    TaskId::new(&Uuid::new_v7(at).to_string()).expect("an id")
}

#[tokio::test]
async fn a_page_shows_the_first_of_a_large_family_and_leads_to_the_parent_wherever_it_is() {
    let site = Site::open().await;
    let mut batch = Batch::new();
    // The first one sends the others, and the last but one sends the last.
    let ids: Vec<TaskId> = (0..MANY).map(sent_in_second).collect();
    for (number, id) in ids.iter().enumerate() {
        let name = TaskName::new("demo.add").expect("a name");
        let mut envelope = Envelope::new(id.clone(), name);
        let parent = match number {
            0 => None,
            _ if number == MANY - 1 => Some(&ids[MANY - 2]),
            _ => Some(&ids[0]),
        };
        (envelope.root_id, envelope.parent_id) = (ids[0].clone(), parent.cloned());
        batch.track(&copy_of(envelope));
    }
    site.store.apply(&batch).await.expect("written");
    let link = |id: &TaskId| format!("/tasks/{}\"", site.store.public_id(id).expect("an id"));
    let last = site.store.public_id(&ids[MANY - 1]).expect("an id");
    let (status, page) = site.get(&format!("/tasks/{last}")).await;
    assert_eq!(status, StatusCode::OK);
    let shown = ids.iter().filter(|id| page.contains(&link(id))).count();
    assert!(page.contains(&link(&ids[MANY - 2])), "no way to the parent");
    // And itself, and the one that sent it.
    assert_eq!(shown, SHOWN + 2);
    let (_, tree) = site.get(&format!("/api/tasks/{last}/tree")).await;
    let tree: serde_json::Value = serde_json::from_str(&tree).expect("JSON");
    assert_eq!(tree.as_array().map(Vec::len), Some(MANY));
}
