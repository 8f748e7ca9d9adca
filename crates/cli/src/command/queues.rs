//! `queues`: how full queues are, and who consumes them.

use crate::args::Global;
use crate::failure::Failure;
use crate::open;
use crate::output::{Output, numbers, words};
use counterfoil_operations::queues::{Known, known, look};
use counterfoil_toolbox::config::{Config, Needs};

pub(crate) async fn run(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let config = open::config(global, Needs::BROKER)?;
    let names = open::names(&config.broker)?;
    let known = told(&config).await;
    let transport = open::broker(&config.broker).await?;
    let lines = look(&*transport, &names, &config.broker, known.as_ref()).await?;
    transport.close().await;
    let columns = [
        words("QUEUE"),
        numbers("READY"),
        numbers("CONSUMERS"),
        numbers("DEAD"),
        numbers("SENT/MIN"),
        words("PAUSED"),
    ];
    output.list(&lines, &columns, |line| {
        let of_service = |text| match line.service {
            Some(_) => text,
            None => String::new(),
        };
        vec![
            line.queue.to_string(),
            number(line.ready),
            number(line.consumers),
            of_service(number(line.dead)),
            of_service(number(line.sent_per_minute)),
            match line.paused {
                Some(true) => "yes".to_owned(),
                Some(false) | None => String::new(),
            },
        ]
    })
}

fn number<N: ToString>(number: Option<N>) -> String {
    number.map_or("-".to_owned(), |n| n.to_string())
}

/// What the database tells of services, if it can be asked.
async fn told(config: &Config) -> Option<Known> {
    let database = config.database.as_ref()?;
    if database.missing_file().is_some() {
        return None;
    }
    let asked = async {
        let store = open::database(config).await?;
        let known = known(&*store).await?;
        store.close().await;
        Ok::<_, Failure>(known)
    };
    match asked.await {
        Ok(known) => Some(known),
        Err(failure) => {
            eprint!("warning: services of the database are left out: {failure}");
            None
        }
    }
}
