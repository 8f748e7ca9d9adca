//! Policies instead of arguments: every queue ends up with the same settings.

use super::scripts;
use anyhow::Context as _;
use counterfoil_testkit::{Broker, RabbitNode};
use counterfoil_toolbox::config::{BrokerSettings, QueueOverride};
use counterfoil_toolbox::topology::{
    self, Item, ItemState, QueueKind, QueueSettings, delay_levels, platform, token_queue,
};
use counterfoil_toolbox::transport::amqp::AmqpTransport;
use counterfoil_toolbox::{ServiceName, TaskName};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What is set for each queue, named as policies name it.
type Settings = BTreeMap<String, Map<String, Value>>;

/// One service of each kind, below a prefix.
fn settings(prefix: &str, queue_settings: QueueSettings) -> anyhow::Result<BrokerSettings> {
    let special = |max_length, priorities, kind| QueueOverride {
        max_length,
        priorities,
        kind,
        ..QueueOverride::default()
    };
    let name = ServiceName::new;
    Ok(BrokerSettings {
        queue_settings,
        queue_prefix: prefix.to_owned(),
        services: ["demo", "export", "harvest", "celery"]
            .map(name)
            .into_iter()
            .collect::<Result<_, _>>()?,
        queues: BTreeMap::from([
            (name("export")?, special(Some(1000), true, None)),
            (name("harvest")?, special(None, true, None)),
            (
                name("celery")?,
                special(None, false, Some(QueueKind::Classic)),
            ),
        ]),
        ..BrokerSettings::default()
    })
}

fn items(broker: &BrokerSettings) -> anyhow::Result<Vec<Item>> {
    let names = broker.names()?;
    let mut items = platform(&names, broker.queue_settings);
    items.extend(delay_levels(&names));
    for task in ["demo.limited", "export.all"] {
        let queue = token_queue(&names, &TaskName::new(task)?, broker.queue_settings)?;
        items.push(Item::Queue(queue));
    }
    for service in &broker.services {
        items.extend(topology::service(&names, service, &broker.service(service)));
    }
    Ok(items)
}

/// What the declarations of `broker` say themselves.
fn declared(broker: &BrokerSettings) -> anyhow::Result<Settings> {
    let queues = items(broker)?.into_iter().filter_map(|item| match item {
        Item::Queue(queue) => Some(queue),
        Item::Exchange(_) | Item::Binding(_) => None,
    });
    let settings = queues.map(|queue| {
        let arguments = queue.arguments.iter().map(|(name, value)| {
            let name = name.strip_prefix("x-").unwrap_or(name);
            (name.to_owned(), value.to_json())
        });
        (queue.name.to_string(), arguments.collect())
    });
    Ok(settings.collect())
}

/// What the policy that applies to it says about each queue of `vhost`.
async fn effective(node: &RabbitNode, vhost: &str) -> anyhow::Result<Settings> {
    let list = async |arguments: &[&str]| {
        let format = ["-p", vhost, "--formatter", "json"];
        let arguments = [&arguments[..1], &format, &arguments[1..]].concat();
        let listed = node.control(&arguments).await?;
        anyhow::Ok(serde_json::from_str::<Vec<Value>>(&listed)?)
    };
    let mut definitions = BTreeMap::new();
    for policy in list(&["list_policies"]).await? {
        let definition = policy["definition"].as_str().context("JSON as text")?;
        let definition: Map<String, Value> = serde_json::from_str(definition)?;
        definitions.insert(policy["name"].to_string(), definition);
    }
    let queues = list(&["list_queues", "name", "policy"]).await?;
    let settings = queues.into_iter().map(|queue| {
        let name = queue["name"].as_str().context("a name")?.to_owned();
        let definition = definitions.get(&queue["policy"].to_string()).cloned();
        Ok((name, definition.unwrap_or_default()))
    });
    settings.collect()
}

#[tokio::test]
async fn policies_give_every_queue_what_arguments_would_have_declared() -> anyhow::Result<()> {
    let node = RabbitNode::start().await?;
    for prefix in ["", "st.aging-"] {
        let vhost = Broker::of(&node)?.vhost().await?;
        let by_policy = BrokerSettings {
            urls: vec![vhost.amqp_url().into()],
            ..settings(prefix, QueueSettings::Policy)?
        };
        let transport = AmqpTransport::new(&by_policy)?;
        for finding in topology::apply(&*transport, items(&by_policy)?).await? {
            assert_eq!(finding.state, ItemState::Applied, "{}", finding.item);
        }
        // Somebody else's policy has to give way.
        let other = r#"{"max-length": 1, "delivery-limit": 1}"#;
        node.control(&["set_policy", "-p", vhost.name(), "other", "demo", other])
            .await?;
        let options = ["--vhost", vhost.name(), "--prefix", prefix];
        let services = [
            "demo",
            "export=1000,priorities",
            "harvest=priorities",
            "celery=classic",
        ];
        scripts::run(&node, "policies", &[&options[..], &services].concat()).await?;

        let mut found = effective(&node, vhost.name()).await?;
        for (queue, own) in declared(&by_policy)? {
            found.entry(queue).or_default().extend(own);
        }
        assert_eq!(
            found,
            declared(&settings(prefix, QueueSettings::Arguments)?)?
        );
        vhost.close().await?;
    }
    Ok(())
}
