//! The statements, one file each, under the same name for both databases.

mod flow;

use flow::FlowStatements;

/// Statements that both databases have. `sql/<database>/<name>.sql` says what each one does.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) aborting_sessions: &'static str,
    pub(crate) applied_migrations: &'static str,
    pub(crate) canaries: &'static str,
    pub(crate) celery_columns: &'static str,
    pub(crate) celery_results: &'static str,
    pub(crate) celery_rights: &'static str,
    pub(crate) chord: &'static str,
    pub(crate) chord_members: &'static str,
    pub(crate) chord_waits_for: &'static str,
    pub(crate) clock: &'static str,
    pub(crate) complete_celery_results: &'static str,
    pub(crate) complete_sessions: &'static str,
    pub(crate) controls: &'static str,
    pub(crate) controls_to_renew: &'static str,
    pub(crate) count_living: &'static str,
    pub(crate) count_sessions: &'static str,
    pub(crate) count_tasks: &'static str,
    pub(crate) count_unpublished: &'static str,
    pub(crate) counted_subtasks: &'static str,
    pub(crate) counts_by_service: &'static str,
    pub(crate) counts_by_state: &'static str,
    pub(crate) dead: &'static str,
    pub(crate) dead_records: &'static str,
    pub(crate) dead_services: &'static str,
    pub(crate) delete_answered: &'static str,
    pub(crate) delete_celery_results: &'static str,
    pub(crate) delete_chord: &'static str,
    pub(crate) delete_chord_members: &'static str,
    pub(crate) delete_dead: &'static str,
    pub(crate) delete_ended_controls: &'static str,
    pub(crate) delete_events: &'static str,
    pub(crate) delete_handled_dead: &'static str,
    pub(crate) delete_logs: &'static str,
    pub(crate) delete_markers: &'static str,
    pub(crate) delete_old_canaries: &'static str,
    pub(crate) delete_old_skipped: &'static str,
    pub(crate) delete_old_told: &'static str,
    pub(crate) delete_old_workers: &'static str,
    pub(crate) delete_parked: &'static str,
    pub(crate) delete_results: &'static str,
    pub(crate) delete_schedule: &'static str,
    pub(crate) delete_skipped: &'static str,
    pub(crate) delete_skipped_results: &'static str,
    pub(crate) delete_stray_events: &'static str,
    pub(crate) delete_stray_logs: &'static str,
    pub(crate) delete_stray_results: &'static str,
    pub(crate) delete_subtasks: &'static str,
    pub(crate) delete_tasks: &'static str,
    pub(crate) deleted_task: &'static str,
    pub(crate) discard_finalizers: &'static str,
    pub(crate) discard_refused: &'static str,
    pub(crate) doubles: &'static str,
    pub(crate) due_chords: &'static str,
    pub(crate) due_outbox: &'static str,
    pub(crate) due_schedules: &'static str,
    pub(crate) due_told_chords: &'static str,
    pub(crate) edge_newer: &'static str,
    pub(crate) edge_older: &'static str,
    pub(crate) newest_success: &'static str,
    pub(crate) enable_schedule: &'static str,
    pub(crate) end_control: &'static str,
    pub(crate) end_controls: &'static str,
    pub(crate) end_sessions: &'static str,
    pub(crate) family: &'static str,
    pub(crate) family_counts: &'static str,
    pub(crate) family_results: &'static str,
    pub(crate) finalizer_types: &'static str,
    pub(crate) finish_session: &'static str,
    /// What a dashboard reads beside rows.
    pub(crate) flow: FlowStatements,
    pub(crate) forget_deleted: &'static str,
    pub(crate) forget_sent: &'static str,
    pub(crate) handle_dead: &'static str,
    pub(crate) has_migrations: &'static str,
    pub(crate) history: &'static str,
    pub(crate) ids_without_row: &'static str,
    pub(crate) index_celery_taskmeta: &'static str,
    pub(crate) index_celery_tasksetmeta: &'static str,
    pub(crate) insert_canary: &'static str,
    pub(crate) insert_chord: &'static str,
    pub(crate) insert_chord_members: &'static str,
    pub(crate) insert_control: &'static str,
    pub(crate) insert_deleted: &'static str,
    pub(crate) insert_event: &'static str,
    pub(crate) insert_log: &'static str,
    pub(crate) insert_marker: &'static str,
    pub(crate) insert_outbox: &'static str,
    pub(crate) insert_outbox_at: &'static str,
    pub(crate) insert_schedule: &'static str,
    pub(crate) insert_session: &'static str,
    pub(crate) insert_skipped: &'static str,
    pub(crate) insert_subtasks: &'static str,
    pub(crate) living_namesake: &'static str,
    pub(crate) lock_sessions: &'static str,
    pub(crate) log: &'static str,
    pub(crate) lost_tasks: &'static str,
    pub(crate) make_celery_taskmeta: &'static str,
    pub(crate) make_celery_tasksetmeta: &'static str,
    pub(crate) mark_published: &'static str,
    pub(crate) mark_sent: &'static str,
    pub(crate) mark_skipped_told: &'static str,
    pub(crate) marker_seen: &'static str,
    pub(crate) missing_tasks: &'static str,
    pub(crate) move_chord: &'static str,
    pub(crate) move_schedule: &'static str,
    pub(crate) next_due: &'static str,
    pub(crate) old_of_retention: &'static str,
    pub(crate) old_of_type: &'static str,
    pub(crate) old_sessions: &'static str,
    pub(crate) only_asks: &'static str,
    pub(crate) open_sessions: &'static str,
    pub(crate) outbox_state: &'static str,
    pub(crate) overdue_sessions: &'static str,
    pub(crate) owners: &'static str,
    pub(crate) parked: &'static str,
    pub(crate) probe: &'static str,
    pub(crate) put_off_chord: &'static str,
    pub(crate) refuse_message: &'static str,
    pub(crate) refused_messages: &'static str,
    pub(crate) related_types: &'static str,
    pub(crate) remove_old: &'static str,
    pub(crate) remove_sessions: &'static str,
    pub(crate) renew_leases: &'static str,
    pub(crate) replaced_in_vain: &'static str,
    pub(crate) result: &'static str,
    pub(crate) retentions: &'static str,
    pub(crate) retries: &'static str,
    pub(crate) retry_refused: &'static str,
    pub(crate) schedules: &'static str,
    pub(crate) seen_of_sessions: &'static str,
    pub(crate) services: &'static str,
    pub(crate) session_states: &'static str,
    pub(crate) sessions: &'static str,
    pub(crate) sessions_of_tasks: &'static str,
    pub(crate) set_held: &'static str,
    pub(crate) shortest_lease: &'static str,
    pub(crate) stored_tasks: &'static str,
    pub(crate) strays: &'static str,
    pub(crate) subtask_ends: &'static str,
    pub(crate) subtask_rows: &'static str,
    pub(crate) subtasks: &'static str,
    pub(crate) task: &'static str,
    pub(crate) task_schema: &'static str,
    pub(crate) task_types: &'static str,
    pub(crate) task_with_identity: &'static str,
    pub(crate) tasks: &'static str,
    pub(crate) tasks_of_sessions: &'static str,
    pub(crate) tasks_of_types: &'static str,
    pub(crate) tasks_of_types_oldest: &'static str,
    pub(crate) tasks_oldest: &'static str,
    pub(crate) tasks_with_ids: &'static str,
    pub(crate) told_chord_members: &'static str,
    pub(crate) told_chord_waits_for: &'static str,
    pub(crate) unanswered: &'static str,
    pub(crate) unpublished_controls: &'static str,
    pub(crate) unroutable: &'static str,
    pub(crate) unroutable_services: &'static str,
    pub(crate) unsent_subtasks: &'static str,
    pub(crate) unsent_tasks: &'static str,
    pub(crate) update_canary: &'static str,
    pub(crate) update_marker: &'static str,
    pub(crate) update_subtasks: &'static str,
    pub(crate) upsert_celery_results: &'static str,
    pub(crate) upsert_dead: &'static str,
    pub(crate) upsert_old_celery_results: &'static str,
    pub(crate) upsert_parked: &'static str,
    pub(crate) upsert_result: &'static str,
    pub(crate) upsert_revoked_results: &'static str,
    pub(crate) upsert_skipped_results: &'static str,
    pub(crate) upsert_task: &'static str,
    pub(crate) upsert_worker: &'static str,
    pub(crate) version: &'static str,
    pub(crate) waiting: &'static str,
    pub(crate) workers: &'static str,
}

macro_rules! statements {
    ($database:literal, $flow:expr; $($name:ident)*) => {
        Statements {
            flow: $flow,
            $($name: include_str!(concat!("../sql/", $database, "/", stringify!($name), ".sql")),)*
        }
    };
    ($database:literal, $flow:expr) => {
        statements!($database, $flow;
            aborting_sessions applied_migrations canaries celery_columns celery_results celery_rights chord
            chord_members chord_waits_for clock complete_celery_results complete_sessions controls
            controls_to_renew count_living count_sessions count_tasks count_unpublished counted_subtasks counts_by_service
            counts_by_state dead dead_records dead_services delete_answered delete_celery_results delete_chord
            delete_chord_members delete_dead delete_ended_controls delete_events delete_handled_dead
            delete_logs delete_markers delete_old_canaries delete_old_skipped delete_old_told delete_old_workers delete_parked
            delete_results delete_schedule delete_skipped delete_skipped_results delete_stray_events
            delete_stray_logs delete_stray_results delete_subtasks delete_tasks deleted_task
            discard_finalizers discard_refused doubles due_chords due_outbox due_schedules due_told_chords edge_newer edge_older
            enable_schedule end_control end_controls end_sessions family family_counts family_results
            finalizer_types finish_session forget_deleted forget_sent handle_dead has_migrations history
            ids_without_row index_celery_taskmeta index_celery_tasksetmeta insert_canary insert_chord
            insert_chord_members insert_control insert_deleted insert_event insert_log insert_marker
            insert_outbox insert_outbox_at insert_schedule insert_session insert_skipped insert_subtasks
            living_namesake lock_sessions log lost_tasks make_celery_taskmeta make_celery_tasksetmeta
            mark_published mark_sent mark_skipped_told marker_seen missing_tasks move_chord move_schedule
            newest_success next_due old_of_retention old_of_type old_sessions only_asks open_sessions outbox_state overdue_sessions
            owners parked probe put_off_chord refuse_message refused_messages related_types remove_old remove_sessions
            renew_leases replaced_in_vain result retentions retries retry_refused schedules seen_of_sessions
            services session_states sessions sessions_of_tasks set_held shortest_lease stored_tasks strays
            subtask_ends subtask_rows subtasks task task_schema task_types task_with_identity tasks
            tasks_of_sessions tasks_of_types tasks_of_types_oldest tasks_oldest tasks_with_ids told_chord_members told_chord_waits_for unanswered
            unpublished_controls unroutable unroutable_services unsent_subtasks unsent_tasks update_canary
            update_marker update_subtasks upsert_celery_results upsert_dead upsert_old_celery_results
            upsert_parked upsert_result upsert_revoked_results upsert_skipped_results upsert_task
            upsert_worker version waiting workers
        )
    };
}

/// PostgreSQL's.
pub(crate) static POSTGRES: Statements = statements!("postgres", flow::POSTGRES);
/// SQLite's.
pub(crate) static SQLITE: Statements = statements!("sqlite", flow::SQLITE);

/// Statements that only PostgreSQL has.
pub(crate) mod postgres {
    pub(crate) const CONFIGURE: &str = include_str!("../sql/postgres/configure.sql");
    pub(crate) const DROP_EMPTY_MONTHS: &str =
        include_str!("../sql/postgres/drop_empty_months.sql");
    pub(crate) const ESTIMATE_TASKS: &str = include_str!("../sql/postgres/estimate_tasks.sql");
    pub(crate) const HURRY: &str = include_str!("../sql/postgres/hurry.sql");
    pub(crate) const INSERT_COUNTED_EVENT: &str =
        include_str!("../sql/postgres/insert_counted_event.sql");
    pub(crate) const INSERT_UNDATED_EVENT: &str =
        include_str!("../sql/postgres/insert_undated_event.sql");
    pub(crate) const LOCK_IDENTITY: &str = include_str!("../sql/postgres/lock_identity.sql");
    pub(crate) const MAKE_TASK_ID_SEQUENCE: &str =
        include_str!("../sql/postgres/make_task_id_sequence.sql");
    pub(crate) const MAKE_TASKSET_ID_SEQUENCE: &str =
        include_str!("../sql/postgres/make_taskset_id_sequence.sql");
    pub(crate) const PREPARE_MONTHS: &str = include_str!("../sql/postgres/prepare_months.sql");
    pub(crate) const STILL_LEADS: &str = include_str!("../sql/postgres/still_leads.sql");
    pub(crate) const TRY_LEAD: &str = include_str!("../sql/postgres/try_lead.sql");
}

/// Statements that only SQLite has: PostgreSQL does the same within others.
pub(crate) mod sqlite {
    pub(crate) const DELETE_ROLLUP_DELTAS: &str =
        include_str!("../sql/sqlite/delete_rollup_deltas.sql");
    pub(crate) const INSERT_ROLLUP_DELTAS: &str =
        include_str!("../sql/sqlite/insert_rollup_deltas.sql");
    pub(crate) const KNOWN_RESULTS: &str = include_str!("../sql/sqlite/known_results.sql");
    pub(crate) const KNOWN_RETRIES: &str = include_str!("../sql/sqlite/known_retries.sql");
    pub(crate) const KNOWN_STARTS: &str = include_str!("../sql/sqlite/known_starts.sql");
    pub(crate) const KNOWN_TASKS: &str = include_str!("../sql/sqlite/known_tasks.sql");
    pub(crate) const NEW_ROLLUPS: &str = include_str!("../sql/sqlite/new_rollups.sql");
    pub(crate) const WAITED_SINCE: &str = include_str!("../sql/sqlite/waited_since.sql");
}
