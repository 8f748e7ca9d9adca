//! Whatever others put into messages, it stays text.

use crate::program::Program;
use counterfoil_store::{Batch, Parked, StoreOptions, StoredMessage, connect};
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::message::{Content, Headers, Properties};

/// Red, a bell, the title of the window, and a name that reads backwards.
const HOSTILE: &str = "\u{1b}[31m\u{7}\u{1b}]0;gotcha\u{7} exe.\u{202e}fdp\r\n";

async fn park(program: &Program) -> anyhow::Result<String> {
    let file = program.folder().join("counterfoil.db");
    let options = StoreOptions::new(format!("sqlite://{}", file.display()));
    let store = connect(&options.id_secret("secret")).await?;
    store.migrate().await?;
    let mut headers = Headers::new();
    headers.push("task", HOSTILE);
    let parked = Parked {
        queue: "platform.fifo".into(),
        reason: HOSTILE.into(),
        task_id: Some(TaskId::new("t1")?),
        name: Some(HOSTILE.into()),
        message: StoredMessage {
            exchange: "task_exchange".into(),
            routing_key: "demo.add".into(),
            content: Content {
                properties: Properties::json(),
                headers,
                body: format!("{{\"a\": 1\n{HOSTILE}").into_bytes().into(),
            },
        },
        waits: false,
    };
    let id = parked.id().to_string();
    let mut batch = Batch::new();
    batch.park(parked);
    store.apply(&batch).await?;
    store.close().await;
    Ok(id)
}

#[tokio::test]
async fn a_parked_message_is_shown_without_steering_the_terminal() -> anyhow::Result<()> {
    let program = Program::new();
    let id = park(&program).await?;
    // That nothing printed holds an escape is checked for every run.
    let list = program.run(&["parked", "list"]).await.ends_with(0);
    assert!(list.stdout.contains("\\u{1b}[31m"), "{list:?}");
    assert_eq!(list.stdout.lines().count(), 2);
    for id in [id.as_str(), "t1"] {
        let shown = program.run(&["parked", "show", id]).await.ends_with(0);
        assert!(shown.stdout.contains("exe.\\u{202e}fdp"), "{shown:?}");
        assert!(!shown.stdout.contains('\u{202e}') && !shown.stdout.contains('\u{7}'));
        let json = program
            .run(&["parked", "show", id, "--json"])
            .await
            .ends_with(0);
        assert!(!json.stdout.contains('\u{202e}'), "{json:?}");
        let document = json.document();
        assert_eq!(document["headers"]["task"], HOSTILE, "JSON has it as it is");
        assert_eq!(
            document["body_bytes"],
            document["body"].as_str().expect("text").len()
        );
    }
    let gone = program.run(&["parked", "show", "other"]).await.ends_with(1);
    assert!(
        gone.stderr.contains("nothing is parked under the id"),
        "{gone:?}"
    );
    Ok(())
}
