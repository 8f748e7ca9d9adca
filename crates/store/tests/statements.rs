//! The files of statements and migrations, held against real databases and against each other.

use anyhow::{Context, ensure};
use counterfoil_testkit::store_suite::StoreSite;
use counterfoil_toolbox::TaskState;
use counterfoil_toolbox::config::CeleryEncoding;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqlSafeStr, SqliteConnection};
use std::collections::BTreeMap;
use std::path::Path;

/// Statements of one database: name and text.
fn statements(database: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("sql")
        .join(database);
    let mut statements = BTreeMap::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .context("a name")?;
        statements.insert(name.to_owned(), std::fs::read_to_string(&path)?);
    }
    Ok(statements)
}

#[tokio::test]
async fn every_statement_for_postgresql_can_be_prepared() -> anyhow::Result<()> {
    let site = StoreSite::postgres().await?;
    site.store()
        .keep_celery_results(CeleryEncoding::Json)
        .await?;
    let mut connection = PgConnection::connect(site.url()).await?;
    for (name, text) in statements("postgres")? {
        let prepared = connection.prepare(AssertSqlSafe(text).into_sql_str()).await;
        prepared.with_context(|| name)?;
    }
    Ok(())
}

#[tokio::test]
async fn every_statement_for_sqlite_can_be_prepared() -> anyhow::Result<()> {
    let site = StoreSite::sqlite().await?;
    site.store()
        .keep_celery_results(CeleryEncoding::Json)
        .await?;
    let mut connection = SqliteConnection::connect(site.url()).await?;
    for (name, text) in statements("sqlite")? {
        let prepared = connection.prepare(AssertSqlSafe(text).into_sql_str()).await;
        prepared.with_context(|| name)?;
    }
    Ok(())
}

#[test]
fn both_databases_have_the_same_statements_but_for_what_only_one_can_do() -> anyhow::Result<()> {
    let only_postgresql = [
        "configure",
        "drop_empty_months",
        "estimate_tasks",
        "hurry",
        "insert_counted_event",
        "insert_undated_event",
        "lock_identity",
        "make_task_id_sequence",
        "make_taskset_id_sequence",
        "prepare_months",
        "still_leads",
        "try_lead",
    ];
    let only_sqlite = [
        "delete_rollup_deltas",
        "insert_rollup_deltas",
        "known_results",
        "known_retries",
        "known_starts",
        "known_tasks",
        "new_rollups",
        "waited_since",
    ];
    let (mut postgresql, mut sqlite) = (statements("postgres")?, statements("sqlite")?);
    for name in only_postgresql {
        postgresql.remove(name).with_context(|| name)?;
    }
    for name in only_sqlite {
        sqlite.remove(name).with_context(|| name)?;
    }
    let names = |statements: BTreeMap<String, String>| statements.into_keys().collect::<Vec<_>>();
    assert_eq!(names(postgresql), names(sqlite));
    Ok(())
}

#[test]
fn every_statement_says_what_it_is_for() -> anyhow::Result<()> {
    for database in ["postgres", "sqlite"] {
        for (name, text) in statements(database)? {
            ensure!(text.starts_with("-- "), "{database}/{name} has no purpose");
            let has_parameters = text.contains("$1") || text.contains("?1");
            ensure!(
                has_parameters == text.contains("\n-- Parameters: "),
                "{database}/{name} has parameters that it does not tell, or tells some that it lacks"
            );
        }
    }
    Ok(())
}

#[test]
fn rows_are_compared_by_the_whole_key_in_every_column() -> anyhow::Result<()> {
    for database in ["postgres", "sqlite"] {
        let upsert = statements(database)?
            .remove("upsert_task")
            .context("the statement")?;
        let (_, update) = upsert.split_once("DO UPDATE SET").context("an upsert")?;
        // Line breaks apart, every comparison is one of two texts.
        let update = update.split_whitespace().collect::<Vec<_>>().join(" ");
        let key = |side: &str, columns: &[&str]| {
            let columns: Vec<_> = columns
                .iter()
                .map(|column| format!("{side}.{column}"))
                .collect();
            format!("({})", columns.join(", "))
        };
        let compare =
            |columns: &[&str]| format!("{} > {}", key("excluded", columns), key("t", columns));
        let state = [
            "run",
            "rescue",
            "sticky",
            "executions",
            "deliveries",
            "tries",
            "rank",
            "event_id",
        ];
        let copy = ["copy_run", "copy_rescue", "copy_executions", "copy_digest"];
        let (state, copy) = (compare(&state), compare(&copy));
        let count = |part: &str| update.matches(part).count();
        assert_eq!(count(") > ("), count(&state) + count(&copy), "{database}");
        assert_eq!(
            count("CASE WHEN ("),
            count(") > (") - 3,
            "{database}: and once each in WHERE, that of the state in `recount`"
        );
    }
    Ok(())
}

#[test]
fn every_list_of_tasks_filters_alike() -> anyhow::Result<()> {
    for (database, text_parameter) in [("postgres", "($18"), ("sqlite", "(?18")] {
        let statements = statements(database)?;
        // Without comments, line breaks and aliases.
        let bare = |name: &str| -> anyhow::Result<String> {
            let lines = statements.get(name).context("a statement")?.lines();
            let lines = lines.filter(|line| !line.trim_start().starts_with("--"));
            let words = lines.flat_map(str::split_whitespace).collect::<Vec<_>>();
            Ok(words.join(" ").replace("task.", ""))
        };
        let tasks = bare("tasks")?;
        let (_, conditions) = tasks.split_once("WHERE ").context("conditions")?;
        let (filter, text) = conditions
            .split_once(&format!(" AND {text_parameter}"))
            .context("a text")?;
        let (text, _) = text.split_once("))").context("the end of the text's")?;
        for name in [
            "tasks_oldest",
            "tasks_of_types",
            "tasks_of_types_oldest",
            "count_tasks",
        ] {
            ensure!(bare(name)?.contains(filter), "{database}/{name}");
        }
        for name in ["tasks_oldest", "count_tasks"] {
            ensure!(bare(name)?.contains(text), "{database}/{name}");
        }
        if database == "postgres" {
            let estimate = bare("estimate_tasks")?;
            ensure!(estimate.contains(filter) && estimate.contains(text));
        }
    }
    Ok(())
}

#[test]
fn what_upgrade_md_has_made_beforehand_is_what_the_migration_would_make() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let words = |file: &str| -> anyhow::Result<String> {
        let text = std::fs::read_to_string(root.join(file))?;
        let text = text.replace("CONCURRENTLY ", "").replace("%I.", "");
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let migration = words("migrations/postgres/0004_lists.sql")?;
    let upgrade = words("../../docs/upgrade.md")?;
    let made: Vec<_> = migration
        .split("CREATE INDEX IF NOT EXISTS ")
        .skip(1)
        .filter_map(|rest| rest.split([';', '\'']).next())
        .collect();
    // The states in one of them stand in quotes.
    ensure!(made.len() == 9, "{made:?}");
    for index in made {
        ensure!(upgrade.contains(index), "docs/upgrade.md lacks {index}");
    }
    Ok(())
}

/// The words in quotes that a definition lists.
fn quoted(definition: &str) -> Vec<&str> {
    definition.split('\'').skip(1).step_by(2).collect()
}

#[tokio::test]
async fn the_databases_know_the_states_that_rust_knows() -> anyhow::Result<()> {
    let mut all = TaskState::ALL.map(TaskState::as_str).to_vec();
    let terminal = TaskState::ALL
        .into_iter()
        .filter(|state| state.is_terminal());
    let mut terminal: Vec<_> = terminal.map(TaskState::as_str).collect();
    all.sort_unstable();
    terminal.sort_unstable();
    let (postgres, sqlite) = (StoreSite::postgres().await?, StoreSite::sqlite().await?);
    for (constraint, table, states) in [
        ("background_task_state_known", "background_task", &all),
        ("task_event_kind_known", "task_event", &all),
        ("task_result_status_known", "task_result", &terminal),
    ] {
        let query = format!(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint
             WHERE conname = '{constraint}' AND conrelid = '{table}'::regclass"
        );
        let definition = postgres.text(&query).await?.context("a constraint")?;
        let mut known = quoted(&definition);
        known.sort_unstable();
        assert_eq!(&known, states, "PostgreSQL, {constraint}");

        let query = format!("SELECT sql FROM sqlite_master WHERE name = '{table}'");
        let definition = sqlite.text(&query).await?.context("a table")?;
        let (_, check) = definition.split_once(constraint).context("a constraint")?;
        let (check, _) = check.split_once("))").context("the end of the list")?;
        let mut known = quoted(check);
        known.sort_unstable();
        assert_eq!(&known, states, "SQLite, {constraint}");
    }
    Ok(())
}
