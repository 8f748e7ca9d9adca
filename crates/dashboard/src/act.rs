//! What people do to tasks here. How it is done, `counterfoil-operations` knows.

use crate::access::Visitor;
use crate::api::task::find;
use crate::app::App;
use crate::page::outcome::Done;
use crate::trouble::Trouble;
use counterfoil_operations::tasks::{
    AT_ONCE, Action, Cancel, Delete, Found, Living, Pause, Rerun, Resume, act, matching,
    newest_matching,
};
use counterfoil_operations::{Doer, Mode, OperationError, Words, passed_on};
use counterfoil_store::{Store, TaskFilter};
use counterfoil_toolbox::config::AccessRole;
use counterfoil_toolbox::error::ErrorChain;
use std::time::Duration;
use uuid::Uuid;

/// Tasks to which something is done by one request.
pub(crate) const MOST: usize = 10_000;

/// Tasks that are looked at before people are asked whether they mean it.
pub(crate) const LOOKED: usize = 1000;

/// How long a daemon may take to pass on what workers are asked, before people are told that none has.
const PASSED_ON: Duration = Duration::from_secs(2);

/// How long tasks that match are looked for.
const LOOKING: Duration = Duration::from_secs(10);

/// What can be done to tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Cancel,
    Rerun,
    Pause,
    Resume,
    Delete,
}

impl Deed {
    pub(crate) const ALL: [Self; 5] = [
        Self::Cancel,
        Self::Rerun,
        Self::Pause,
        Self::Resume,
        Self::Delete,
    ];

    /// Its name in paths and in the trail.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Rerun => "rerun",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Delete => "delete",
        }
    }

    /// What its button says.
    pub(crate) const fn button(self) -> &'static str {
        match self {
            Self::Cancel => "Cancel",
            Self::Rerun => "Run again",
            Self::Pause => "Pause",
            Self::Resume => "Resume",
            Self::Delete => "Delete",
        }
    }

    /// Who may do it: what is deleted does not come back.
    pub(crate) const fn role(self) -> AccessRole {
        match self {
            Self::Cancel | Self::Rerun | Self::Pause | Self::Resume => AccessRole::Operator,
            Self::Delete => AccessRole::Admin,
        }
    }

    /// What it is, in words.
    pub(crate) const fn words(self) -> Words {
        match self {
            Self::Cancel => Cancel::WORDS,
            Self::Rerun => Rerun::WORDS,
            Self::Pause => Pause::WORDS,
            Self::Resume => Resume::WORDS,
            Self::Delete => Delete::WORDS,
        }
    }
}

/// To which tasks.
#[derive(Debug, Clone)]
pub(crate) enum Choice {
    /// The one with this public id.
    One(String),
    /// Those that match, the first [`MOST`] of them.
    All(Box<TaskFilter>),
}

/// How many tasks are looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Look {
    /// The newest [`LOOKED`] that match: at once, however many there are.
    Glance,
    /// Up to [`MOST`] to which it can be done.
    All,
}

/// To which of those that match it could be done, and why not to others.
pub(crate) async fn look(
    app: &App,
    deed: Deed,
    filter: TaskFilter,
    look: Look,
) -> Result<Found, Trouble> {
    let (store, doer) = (&*app.platform.store, Doer::default());
    let looking = async {
        match deed {
            Deed::Cancel => chosen(&Cancel::new(store, doer), store, filter, look).await,
            Deed::Rerun => {
                let rerun = Rerun::new(&app.platform, doer, Living::Refused);
                chosen(&rerun, store, filter, look).await
            }
            Deed::Pause => chosen(&Pause::new(store, doer), store, filter, look).await,
            Deed::Resume => chosen(&Resume::new(store, doer), store, filter, look).await,
            Deed::Delete => chosen(&Delete::new(store, doer), store, filter, look).await,
        }
    };
    match tokio::time::timeout(LOOKING, looking).await {
        Ok(found) => Ok(found?),
        Err(_) => Err(
            Trouble::bad("so many tasks match that they cannot be looked through")
                .remedy("say more: a state, a type, or since when"),
        ),
    }
}

async fn chosen(
    action: &impl Action,
    store: &dyn Store,
    filter: TaskFilter,
    look: Look,
) -> Result<Found, OperationError> {
    match look {
        Look::Glance => newest_matching(action, store, filter, LOOKED).await,
        Look::All => matching(action, store, filter, MOST).await,
    }
}

/// Does it.
///
/// # Errors
/// When broker or database do not answer. It may have been done to some then; done once more, it does no harm.
pub(crate) async fn perform(
    app: &App,
    visitor: &Visitor,
    deed: Deed,
    choice: Choice,
) -> Result<Done, Trouble> {
    let found = match choice {
        // By its public id alone.
        Choice::One(id) => Found {
            ids: vec![find(app, &id).await?.task_id],
            ..Found::default()
        },
        Choice::All(filter) => look(app, deed, *filter, Look::All).await?,
    };
    let doer = Doer::new(Some(visitor.name.clone()));
    let store = &*app.platform.store;
    let mut done = Done {
        left_out: found.left_out,
        ..Done::default()
    };
    // Callers in Python are to be told, where the daemon writes results for them.
    let tells = app.tell_python().await;
    match deed {
        Deed::Cancel => {
            let cancel = Cancel::new(store, doer);
            let mut cancel = match tells {
                Ok(()) => cancel,
                // Who may not is left with asking.
                Err(_) => cancel.only_asking(),
            };
            each(&mut cancel, store, &found.ids, &mut done).await?;
            warn_unless_passed_on(store, cancel.asked(), &mut done.warnings).await;
        }
        Deed::Rerun => {
            let mut rerun = Rerun::new(&app.platform, doer, Living::Refused);
            each(&mut rerun, store, &found.ids, &mut done).await?;
            if let Err(error) = rerun.clear_dead().await {
                done.warnings.push(format!(
                    "messages of earlier runs are still in dead queues, where the next redrive takes them out: {error}"
                ));
            }
        }
        Deed::Pause => {
            let mut pause = Pause::new(store, doer);
            each(&mut pause, store, &found.ids, &mut done).await?;
            warn_unless_passed_on(store, pause.asked(), &mut done.warnings).await;
        }
        Deed::Resume => {
            let mut resume = Resume::new(store, doer);
            each(&mut resume, store, &found.ids, &mut done).await?;
            warn_unless_passed_on(store, resume.asked(), &mut done.warnings).await;
        }
        Deed::Delete => {
            tells?;
            let mut delete = Delete::new(store, doer);
            each(&mut delete, store, &found.ids, &mut done).await?;
        }
    }
    Ok(done)
}

async fn each(
    action: &mut impl Action,
    store: &dyn Store,
    ids: &[counterfoil_toolbox::TaskId],
    done: &mut Done,
) -> Result<(), OperationError> {
    for ids in ids.chunks(AT_ONCE) {
        let acted = act(action, Mode::Do, store, ids, |told| done.told.push(told)).await;
        match acted {
            Ok(()) => {}
            // What was done stays done, and people are told of it.
            Err(error) if !done.told.is_empty() => {
                let why = ErrorChain(&error);
                done.warnings.push(format!(
                    "it stopped in between: {why}. What is not counted here may be as it was: do it again"
                ));
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Says so when no daemon has passed on what workers are asked.
pub(crate) async fn warn_unless_passed_on(
    store: &dyn Store,
    asked: &[Uuid],
    warnings: &mut Vec<String>,
) {
    match passed_on(store, asked, PASSED_ON).await {
        Ok(true) => {}
        Ok(false) => warnings.push(NOT_PASSED_ON.to_owned()),
        // It was asked all the same.
        Err(error) => warnings.push(format!(
            "whether workers were told is not known: {}",
            ErrorChain(&error)
        )),
    }
}

/// What people are told when no daemon passes on what workers are asked.
const NOT_PASSED_ON: &str = "nobody has told the workers yet: no counterfoil-sync runs, or it cannot reach \
    the broker. They will be told as soon as one can";
