//! Statements for what a dashboard reads beside rows.

/// Statements that both databases have.
#[derive(Debug)]
pub(crate) struct FlowStatements {
    pub(crate) add_up_rollups: &'static str,
    pub(crate) answer_request: &'static str,
    pub(crate) changes: &'static str,
    pub(crate) count_parked: &'static str,
    pub(crate) delayed: &'static str,
    pub(crate) delete_change_marks: &'static str,
    pub(crate) delete_changes: &'static str,
    pub(crate) delete_old_rollups: &'static str,
    pub(crate) delete_old_request_keys: &'static str,
    pub(crate) died_since: &'static str,
    pub(crate) free_request_key: &'static str,
    pub(crate) insert_change_mark: &'static str,
    pub(crate) insert_operator_action: &'static str,
    pub(crate) insert_request_key: &'static str,
    pub(crate) operator_actions: &'static str,
    pub(crate) renew_request_key: &'static str,
    pub(crate) request_key: &'static str,
    pub(crate) rollup: &'static str,
    pub(crate) rollup_types: &'static str,
    pub(crate) running: &'static str,
    pub(crate) tasks_with_public_ids: &'static str,
    pub(crate) tell_changes: &'static str,
}

macro_rules! flow_statements {
    ($database:literal: $($name:ident)*) => {
        FlowStatements {
            $($name: include_str!(concat!("../../sql/", $database, "/", stringify!($name), ".sql")),)*
        }
    };
    ($database:literal) => {
        flow_statements!($database:
            add_up_rollups answer_request changes count_parked delayed delete_change_marks delete_changes delete_old_request_keys
            delete_old_rollups died_since free_request_key insert_change_mark insert_operator_action insert_request_key
            operator_actions renew_request_key request_key rollup rollup_types running tasks_with_public_ids tell_changes
        )
    };
}

/// PostgreSQL's.
pub(super) const POSTGRES: FlowStatements = flow_statements!("postgres");
/// SQLite's.
pub(super) const SQLITE: FlowStatements = flow_statements!("sqlite");
