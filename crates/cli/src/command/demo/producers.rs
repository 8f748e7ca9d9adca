//! Who sends: several producers at once, as in real life.

use super::bars::Bars;
use super::stage::Stage;
use crate::failure::Failure;
use counterfoil_demo::scenario::Planned;
use counterfoil_toolbox::ids::TaskId;
use counterfoil_toolbox::producer::{Producer, SendError, SendOptions, Sending};
use futures::{StreamExt, TryStreamExt, stream};

/// Producers, each with a channel of its own.
const PRODUCERS: usize = 4;

/// Tasks of one producer that wait for their confirm at the same time.
const UNDER_WAY: usize = 250;

/// A task that the broker has, and what must become of it.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) id: TaskId,
    pub(super) planned: Planned,
}

/// Sends everything. Every task is confirmed, or it is an error.
pub(super) async fn send(
    stage: &Stage,
    plan: Vec<Planned>,
    bars: &Bars,
) -> Result<Vec<Sent>, Failure> {
    let mut shares: Vec<Vec<Planned>> = (0..PRODUCERS).map(|_| Vec::new()).collect();
    for (index, planned) in plan.into_iter().enumerate() {
        shares[index % PRODUCERS].push(planned);
    }
    let sending = shares
        .into_iter()
        .map(|share| send_share(stage, share, bars));
    let sent = futures::future::try_join_all(sending).await?;
    Ok(sent.into_iter().flatten().collect())
}

async fn send_share(stage: &Stage, share: Vec<Planned>, bars: &Bars) -> Result<Vec<Sent>, Failure> {
    let producer = Producer::new(stage.transport.clone(), stage.names.clone());
    let begun = stream::iter(share).then(|planned| async {
        let options = SendOptions::new().creator(&stage.creator);
        let begun = producer.begin(planned.task.clone(), options).await;
        (planned, begun)
    });
    let confirmed = |(planned, begun): (Planned, Result<Sending, SendError>)| async move {
        let id = begun?.confirmed().await?.id().clone();
        bars.sent();
        Ok(Sent { id, planned })
    };
    begun.map(confirmed).buffered(UNDER_WAY).try_collect().await
}
