-- The roles of counterfoil's database, each with the rights that it needs and no others:
--
--   counterfoil_owner    owns the tables: `counterfoil init` connects as it, and nothing else does
--   counterfoil_sync     writes: counterfoil-sync, and people who act on tasks at the command line
--   counterfoil_web      reads, and asks: what shows tasks, sends and cancels them
--   counterfoil_worker   results straight from Python: reads and writes task_result, and sees nothing else
--   counterfoil_app      sends in transactions of its own (send_in): a group, for the roles of your applications
--
-- A superuser runs it twice: before `counterfoil init`, for the roles and a schema of their own, and after it,
-- for the tables. It may be repeated at any time, and is after each migration: what only some may do on tables of later
-- ones is not covered before.
--
--   psql -d DATABASE -f deploy/postgres/roles.sql [-v schema=NAME]
--
-- It sets no passwords, and without one nobody logs in by password: ALTER ROLE counterfoil_sync PASSWORD '…'.
\set ON_ERROR_STOP on
\if :{?schema}
\else
    \set schema counterfoil
\endif

BEGIN;

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['counterfoil_owner', 'counterfoil_sync', 'counterfoil_web', 'counterfoil_worker']) AS name
WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = name)
\gexec

-- GRANT counterfoil_app TO shop; ALTER ROLE shop IN DATABASE … SET search_path = shop, counterfoil
SELECT 'CREATE ROLE counterfoil_app NOLOGIN'
WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'counterfoil_app')
\gexec

SELECT format('CREATE SCHEMA %I AUTHORIZATION counterfoil_owner', :'schema')
WHERE NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = :'schema')
\gexec

-- Searching for parts of texts. The owner of the tables may not make it; without it only the newest tasks are
-- searched.
SELECT 'CREATE EXTENSION pg_trgm SCHEMA public'
FROM pg_available_extensions WHERE name = 'pg_trgm' AND installed_version IS NULL
\gexec

-- Their names need no schema then.
SELECT format('ALTER ROLE %I IN DATABASE %I SET search_path = %I', name, current_database(), :'schema')
FROM unnest(ARRAY['counterfoil_owner', 'counterfoil_sync', 'counterfoil_web', 'counterfoil_worker']) AS name
\gexec
SELECT format(
    'GRANT CONNECT ON DATABASE %I TO counterfoil_owner, counterfoil_sync, counterfoil_web, counterfoil_worker',
    current_database()
)
\gexec
SELECT format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database())
\gexec
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA :"schema" TO counterfoil_sync, counterfoil_web, counterfoil_worker, counterfoil_app;

-- Tables and functions to come.
ALTER DEFAULT PRIVILEGES FOR ROLE counterfoil_owner IN SCHEMA :"schema"
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO counterfoil_sync;
ALTER DEFAULT PRIVILEGES FOR ROLE counterfoil_owner IN SCHEMA :"schema"
    GRANT SELECT ON TABLES TO counterfoil_web;
-- Those of Celery's tables, where `sync.celery_results` is set.
ALTER DEFAULT PRIVILEGES FOR ROLE counterfoil_owner IN SCHEMA :"schema"
    GRANT USAGE ON SEQUENCES TO counterfoil_sync;
ALTER DEFAULT PRIVILEGES FOR ROLE counterfoil_owner IN SCHEMA :"schema"
    GRANT EXECUTE ON FUNCTIONS TO counterfoil_sync;
ALTER DEFAULT PRIVILEGES FOR ROLE counterfoil_owner
    REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- Tables and functions that are there.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA :"schema" TO counterfoil_sync;
GRANT SELECT ON ALL TABLES IN SCHEMA :"schema" TO counterfoil_web;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA :"schema" TO counterfoil_sync;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA :"schema" FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA :"schema" TO counterfoil_sync;

-- What is different about some of them.
SELECT format(statement, :'schema', name)
FROM (VALUES
    ('counterfoil_migrations', 'REVOKE INSERT, UPDATE, DELETE ON %I.%I FROM counterfoil_sync'),
    ('outbox', 'GRANT INSERT ON %I.%I TO counterfoil_web'),
    ('control', 'GRANT INSERT ON %I.%I TO counterfoil_web'),
    ('operator_action', 'GRANT INSERT ON %I.%I TO counterfoil_web'),
    -- What was done stays done: not even the daemon changes that.
    ('operator_action', 'REVOKE UPDATE, DELETE ON %I.%I FROM counterfoil_sync'),
    ('request_key', 'GRANT INSERT, UPDATE (answered_at, created_at), DELETE ON %I.%I TO counterfoil_web'),
    ('task_result', 'GRANT SELECT, INSERT, UPDATE ON %I.%I TO counterfoil_worker'),
    -- What a send in a transaction of an application writes: the task's row and history, the message, and what others
    -- are told and charts count.
    ('background_task', 'GRANT SELECT, INSERT, UPDATE ON %I.%I TO counterfoil_app'),
    ('task_event', 'GRANT SELECT, INSERT ON %I.%I TO counterfoil_app'),
    ('outbox', 'GRANT SELECT (key), INSERT ON %I.%I TO counterfoil_app'),
    ('task_change', 'GRANT INSERT ON %I.%I TO counterfoil_app'),
    ('task_rollup_delta', 'GRANT INSERT ON %I.%I TO counterfoil_app')
) AS special (name, statement)
WHERE to_regclass(format('%I.%I', :'schema', name)) IS NOT NULL
\gexec
SELECT format('GRANT EXECUTE ON FUNCTION %I.counterfoil_size(bigint) TO counterfoil_app', :'schema')
WHERE to_regprocedure(format('%I.counterfoil_size(bigint)', :'schema')) IS NOT NULL
\gexec

COMMIT;
