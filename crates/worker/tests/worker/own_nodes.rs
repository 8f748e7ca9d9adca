//! What needs a broker with settings of its own.

use crate::on_rabbitmq::transport;
use crate::tasks::{Act, act};
use crate::world::World;
use counterfoil_testkit::{Broker, RabbitNode, RabbitOptions};
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::event::FaultKind;
use counterfoil_toolbox::message::names;
use counterfoil_worker::Context;
use serde_json::Value;

#[tokio::test]
async fn a_result_that_is_too_large_for_the_broker_fails_its_task_and_holds_up_no_other()
-> anyhow::Result<()> {
    let options = RabbitOptions {
        config_lines: vec!["max_message_size = 100000".to_owned()],
        ..RabbitOptions::default()
    };
    let node = RabbitNode::start_with(options).await?;
    let vhost = Broker::of(&node)?.vhost().await?;
    let world = World::on(transport(vhost.amqp_url())?).await;
    let handler = async |task: Act, _: Context| Ok(Value::from("x".repeat(task.what.parse()?)));
    let worker = world.start(|builder| builder.handle(handler));
    let small = [world.send(act("10")).await, world.send(act("20")).await];
    let large = world.send(act("200000")).await;
    let after = world.send(act("30")).await;
    for id in small.iter().chain([&after]) {
        world.told_of(id, TaskState::Success).await;
    }
    let failed = world.told_of(&large, TaskState::Failure).await;
    let fault = failed.error.expect("a fault");
    assert_eq!(fault.kind, FaultKind::ResultTooLarge);
    assert!(fault.message.contains("message size"), "{}", fault.message);
    let dead = world.take_from("demo.dead").await;
    assert_eq!(dead.headers.text(names::REASON), Some("result_too_large"));
    assert!(world.is_empty_after(worker, "demo").await);
    Ok(())
}
