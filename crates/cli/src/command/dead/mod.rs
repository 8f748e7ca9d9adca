//! `dead`: tasks that will not run again by themselves.

mod choice;

use crate::args::Global;
use crate::asking::DoerArgs;
use crate::each::{Each, mode};
use crate::failure::Failure;
use crate::open;
use crate::output::{Output, words};
use crate::text::short;
use crate::when::shown;
use choice::{Choice, WhichArgs};
use counterfoil_operations::dead::{Deal, Dealing, Fate};
use counterfoil_operations::{Mode, Platform};
use counterfoil_store::Store;
use counterfoil_store::record::DeadRow;
use counterfoil_toolbox::config::Needs;
use counterfoil_toolbox::names::ServiceName;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum DeadCommand {
    /// List the dead, newest first
    List {
        /// Service whose dead queue it is [default: all]
        service: Option<ServiceName>,
        #[command(flatten)]
        which: WhichArgs,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Run them again, each as a new run of its task
    ///
    /// Say which, or --all. A new run begins without retries behind it,
    /// with the same message; `expires` and `eta` are kept while they lie ahead. A message that names
    /// no task is sent to the queue of the service as it is.
    Redrive(DealArgs),
    /// Throw them away; the rows of their tasks stay
    ///
    /// Say which, or --all.
    Discard(DealArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct DealArgs {
    #[command(flatten)]
    choice: Choice,
    /// All that lie in the dead queue of the service
    #[arg(long, conflicts_with_all = ["id", "reason", "name", "since", "limit"])]
    all: bool,
    /// At most so many, the oldest first
    #[arg(long)]
    limit: Option<usize>,
    /// Only say which and how many
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    doer: DoerArgs,
}

impl DealArgs {
    /// A service alone is quickly typed; what is done to its dead cannot be taken back.
    fn ensure_chosen(&self) -> Result<(), Failure> {
        let is_chosen = self.all || self.dry_run || self.limit.is_some();
        if is_chosen || !self.choice.which.which().is_everything() {
            return Ok(());
        }
        let message = format!(
            "this would take everything that lies in the dead queue of {}",
            self.choice.service
        );
        let remedy = "choose by --id, --reason, --name, --since or --limit; --all means everything; --dry-run shows it";
        Err(Failure::usage(message).remedy(remedy))
    }
}

pub(crate) async fn run(
    command: DeadCommand,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        DeadCommand::List {
            service,
            which,
            limit,
        } => list((service.as_ref(), &which, limit), global, output).await,
        DeadCommand::Redrive(deal) => act(Fate::Redrive, deal, global, output).await,
        DeadCommand::Discard(deal) => act(Fate::Discard, deal, global, output).await,
    }
}

async fn act(
    fate: Fate,
    args: DealArgs,
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    args.ensure_chosen()?;
    let config = open::config(global, Needs::BOTH)?;
    let platform = open::platform(&config).await?;
    let done = act_on(&platform, fate, args, output).await;
    platform.close().await;
    done
}

async fn act_on(
    platform: &Platform,
    fate: Fate,
    args: DealArgs,
    output: &mut Output,
) -> Result<(), Failure> {
    let Choice { service, which } = args.choice;
    if tell_if_unknown(&service, &*platform.store).await?
        && !platform.has_dead_queue(&service).await?
    {
        let message = format!("there is no service {service}, and no dead queue of it");
        return Err(
            Failure::usage(message).remedy("see `counterfoil queues` for those that there are")
        );
    }
    let mode = mode(args.dry_run);
    let deal = Deal {
        fate,
        mode,
        service: service.clone(),
        which: which.which(),
        limit: args.limit.unwrap_or(usize::MAX),
        doer: args.doer.or_user(),
    };
    let mut dealing = Dealing::begin(platform, deal).await?;
    which
        .tell_if_no_reason(Some(&service), &*platform.store)
        .await?;
    let (words, count) = (fate.words(), dealing.expected());
    let will = if mode == Mode::DryRun {
        "would"
    } else {
        "will"
    };
    eprintln!(
        "{} {will} be {}, as far as the platform was told of them",
        words.count(count),
        words.done
    );
    let mut each = Each::begin(output, words, mode, None);
    each.expect(count);
    let done = dealing.run(|told| each.tell(&told)).await;
    if dealing.unread() > 0 {
        eprintln!(
            "{} named no task: sent as they are, they can be followed in the log of the worker alone",
            words.count(dealing.unread())
        );
    }
    each.end_after(done.map_err(Failure::from))
}

async fn list(
    (service, which, limit): (Option<&ServiceName>, &WhichArgs, u32),
    global: &Global,
    output: &mut Output,
) -> Result<(), Failure> {
    let config = open::config(global, Needs::DATABASE)?;
    let store = open::database(&config).await?;
    let chosen = which.which();
    let ids = chosen.wire_ids(&*store).await?;
    let mut dead: Vec<DeadRow> = Vec::new();
    // One more than is shown tells that there are more.
    for filter in chosen.filters(service, &ids, limit.saturating_add(1)) {
        dead.extend(store.dead(&filter).await?);
    }
    if dead.is_empty() {
        if let Some(service) = service {
            tell_if_unknown(service, &*store).await?;
        }
        which.tell_if_no_reason(service, &*store).await?;
    }
    store.close().await;
    let columns = [
        words("DIED"),
        words("SERVICE"),
        words("TASK ID"),
        words("NAME"),
        words("ATTEMPT"),
        words("REASON"),
        words("WHY"),
    ];
    output.beginning(&dead, limit, &columns, |row| {
        vec![
            shown(row.died_at),
            row.service.clone(),
            row.task_id.clone().unwrap_or_else(|| row.id.to_string()),
            row.name.clone().unwrap_or_default(),
            row.attempt.clone(),
            row.reason.clone(),
            row.reason_text.as_deref().map_or(String::new(), short),
        ]
    })
}

/// Says so where nobody has heard of the service. Returns whether it did.
async fn tell_if_unknown(service: &ServiceName, store: &dyn Store) -> Result<bool, Failure> {
    let known = store.services().await?;
    if !known.iter().any(|known| *known == *service.as_str()) {
        let known = match known.is_empty() {
            true => "no task of any was mirrored yet".to_owned(),
            false => format!("those known are {}", known.join(", ")),
        };
        eprintln!("no task of a service {service} was ever mirrored; {known}");
        return Ok(true);
    }
    Ok(false)
}
