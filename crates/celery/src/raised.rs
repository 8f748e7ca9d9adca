//! What a task raises, as Python knows it.

use counterfoil_toolbox::event::{Exception, Raiser, TaskFault};
use counterfoil_worker::extension::Subject;

/// The exception that a task ended with, or is tried again because of.
pub(crate) fn raised(task: &Subject<'_>, fault: &TaskFault) -> Exception {
    let raiser = Raiser {
        task: &task.envelope.name,
        hard_limit: task.envelope.time_limits.hard,
        was_started: task.ran_for.is_some(),
    };
    Exception::of_fault(fault, raiser)
}
