-- Tasks of the last half year as a busy platform has them: 40 types in 8 services, some far busier than others;
-- creators, related objects, identifiers, sessions and families; 96 % succeeded, 2.5 % failed with 200 messages.
-- What suits the planner least is there, too: a backlog of the newest tasks, a creator of a third of all who never
-- failed, a type that nobody has used for months, an error that few have and that is long ago.
-- Parameters: the setting `scale.tasks`.

-- Indexes are made afterwards, at a tenth of the cost.
CREATE TEMPORARY TABLE definition AS
SELECT indexdef AS made_by, indexname AS name FROM pg_indexes
WHERE tablename = 'background_task' AND schemaname = current_schema() AND indexname <> 'background_task_pkey';
DO $$
DECLARE
    one text;
BEGIN
    FOR one IN SELECT name FROM definition LOOP
        EXECUTE format('DROP INDEX %I', one);
    END LOOP;
END
$$;
ALTER TABLE background_task DROP CONSTRAINT background_task_pkey;
ALTER TABLE background_task SET UNLOGGED;
SELECT setseed(0.5);

INSERT INTO background_task (
    id, task_id, type, service, state, run, rescue, sticky, executions, deliveries, tries, rank, event_id,
    copy_run, copy_rescue, copy_executions, copy_digest, input, options, message, headers, properties, exchange,
    routing_key, addressee, creator_id, related_content_type, related_object_id, identifier, root_id, parent_id, session_id, error_kind,
    error_message, worker, created_date, last_updated
)
SELECT
    translate(substr(md5(n::text), 1, 26), '0189', 'wxyz'),
    task_id, service || '.kind' || kind, service, state, 0, 0, (state = 'SUCCESS')::int * 2, 0, 0, 0, 90,
    gen_random_uuid(), 0, 0, 0, 0,
    jsonb_build_object('args', jsonb_build_array(), 'kwargs', jsonb_build_object('project', n)), '{"retries": 0}',
    convert_to('[[], {"project": ' || n || '}, {}]', 'UTF8'),
    jsonb_build_object('task', service || '.kind' || kind, 'id', task_id), '{"content_type": "application/json"}',
    'task_exchange', service || '.kind' || kind, service,
    CASE WHEN state <> 'FAILURE' AND c < 0.33 THEN 'system' ELSE 'user' || floor(50000 * c * c) END,
    CASE WHEN n % 5 < 3 THEN (ARRAY['projects.project', 'maps.map', 'surveys.survey'])[1 + n % 3] END,
    CASE WHEN n % 5 < 3 THEN floor(200000 * o)::text END,
    CASE WHEN n % 20 = 0 THEN 'nightly-' || kind || '-' || n END,
    -- Families of ten, and one of ten thousand.
    CASE
        WHEN n BETWEEN tasks / 2 AND tasks / 2 + 9999 THEN 'family-of-ten-thousand'
        WHEN n % 100 BETWEEN 1 AND 9 THEN 'first-of-' || (n - n % 100)
        ELSE task_id
    END,
    CASE
        WHEN n BETWEEN tasks / 2 AND tasks / 2 + 9999 THEN 'family-of-ten-thousand'
        WHEN n % 100 BETWEEN 1 AND 9 THEN 'first-of-' || (n - n % 100)
    END,
    CASE WHEN n % 100 = 50 THEN 'harvest-' || n / 10000 END,
    CASE state WHEN 'FAILURE' THEN 'exception' WHEN 'REVOKED' THEN 'cancelled' WHEN 'RETRY' THEN 'exception' END,
    CASE
        WHEN state = 'FAILURE' AND n < tasks / 20 AND n % 400 < 10 THEN 'the stars were not in line'
        WHEN state IN ('FAILURE', 'RETRY') THEN 'no answer from host number ' || floor(200 * o * o) || ' within 30 s'
        WHEN state = 'REVOKED' THEN 'cancelled by user' || floor(50000 * c * c)
    END,
    CASE WHEN state <> 'PENDING' THEN service || '@host' || n % 7 || '.' || n % 50 || '.0a0b0c0d' END,
    at, at
FROM (
    SELECT
        n, tasks, at, c, o,
        -- As UUIDs of version 7 are, by their time.
        substr(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0'), 1, 8) || '-'
            || substr(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0'), 9, 4) || '-7'
            || substr(md5(n::text), 1, 3) || '-8' || substr(md5(n::text), 4, 3) || '-' || substr(md5(n::text), 7, 12)
            AS task_id,
        kind,
        (ARRAY['demo', 'export', 'harvest', 'import', 'index', 'mail', 'map', 'report'])[1 + kind / 5] AS service,
        CASE
            -- Those that wait: the newest hundredth.
            WHEN n > tasks - tasks / 100 THEN 'PENDING'
            WHEN n > tasks - tasks / 100 - 3000
                THEN (ARRAY['STARTED', 'RETRY', 'PROGRESS', 'RECEIVED', 'SUCCESS', 'SUCCESS'])[1 + n % 6]
            WHEN s < 0.025 THEN 'FAILURE'
            WHEN s < 0.029 THEN 'REVOKED'
            ELSE 'SUCCESS'
        END AS state
    FROM (
        SELECT
            n, tasks, now() - (tasks - n) * (interval '180 days' / tasks) AS at,
            random() AS s, random() AS c, random() AS o,
            -- The last type has not been used for long.
            CASE
                WHEN n < tasks / 20 AND n % 10 = 3 THEN 39
                ELSE least(38, floor(39 * power(random(), 3)))::int
            END AS kind
        FROM (SELECT current_setting('scale.tasks')::int AS tasks) AS scale,
            generate_series(1, current_setting('scale.tasks')::int) AS n
    ) AS chance
) AS task;

ALTER TABLE background_task ADD CONSTRAINT background_task_pkey PRIMARY KEY (id);
DO $$
DECLARE
    one text;
BEGIN
    FOR one IN SELECT made_by FROM definition LOOP
        EXECUTE one;
    END LOOP;
END
$$;

INSERT INTO task_result (
    task_id, run, status, rescue, sticky, executions, deliveries, tries, rank, event_id, result, date_done,
    runtime_ms, worker
)
SELECT
    task_id, 0, state, 0, 2, 0, 0, 0, 90, gen_random_uuid(), jsonb_build_object('path', repeat('p', 60)),
    created_date, 12, worker
FROM background_task
WHERE state IN ('FAILURE', 'SUCCESS') AND created_date > now() - interval '18 days';

INSERT INTO task_event (
    task_id, event_id, at, run, rescue, executions, deliveries, tries, kind, worker, happened_at
)
SELECT task_id, gen_random_uuid(), created_date, 0, 0, 0, 0, 0, kind, worker, created_date
FROM background_task, unnest(ARRAY['PENDING', 'STARTED', state]) AS kind
WHERE state IN ('FAILURE', 'SUCCESS') AND created_date > now() - interval '9 days';

INSERT INTO task_log (
    task_id, event_id, run, rescue, executions, deliveries, level, message, worker, happened_at
)
SELECT task_id, gen_random_uuid(), 0, 0, 0, 0, 'info', 'line ' || line, worker, created_date
FROM background_task, generate_series(1, 5) AS line
WHERE state = 'FAILURE' AND created_date > now() - interval '18 days';

INSERT INTO session (
    id, action, status, policy, total, finalizer_id, finalizer_type, finalizer, creator_id, started_at, finished_at
)
SELECT
    'harvest-' || n, (ARRAY['harvest', 'export all', 'reindex'])[1 + n % 3],
    CASE WHEN n > 99950 THEN 'ONGOING' WHEN n % 100 = 7 THEN 'COMPLETED_WITH_ERRORS' ELSE 'SUCCESS' END, 'complete',
    100, 'finalizer-' || n, 'harvest.end', '{}', 'user' || n % 5000,
    now() - (100000 - n) * (interval '180 days' / 100000), CASE WHEN n <= 99950 THEN now() END
FROM generate_series(1, 100000) AS n;

INSERT INTO dead (
    id, service, reason, task_id, type, run, rescue, executions, deliveries, message, headers, properties, exchange,
    routing_key, died_at
)
SELECT
    gen_random_uuid(), 'export', (ARRAY['exhausted', 'rejected'])[1 + n % 2], 'dead-' || n, 'export.kind5', 0, 0, 3, 0,
    convert_to(repeat('x', 200), 'UTF8'), '{}', '{}', 'task_exchange', 'export.kind5',
    now() - n * interval '1 minute'
FROM generate_series(1, 20000) AS n;

INSERT INTO parked (
    id, queue, reason, message, headers, properties, exchange, routing_key, parked_at
)
SELECT
    gen_random_uuid(), 'platform.events', 'not UTF-8', convert_to(repeat('x', 200), 'UTF8'), '{}', '{}',
    'task_exchange', 'demo.kind1', now() - n * interval '1 minute'
FROM generate_series(1, 20000) AS n;

-- Of the finished sessions that have tasks.
INSERT INTO session_subtask (session_id, position, task_id, type, status)
SELECT session_id, row_number() OVER (PARTITION BY session_id ORDER BY created_date) - 1, task_id, type, state
FROM background_task
WHERE session_id IS NOT NULL AND state IN ('FAILURE', 'REVOKED', 'SUCCESS');

-- What charts are drawn from: each span for as long as it is kept, every type, twenty sizes of each time.
INSERT INTO task_rollup (span, at, service, type, what, size, tasks)
SELECT
    minutes, at, service, service || '.kind' || kind, what, CASE what WHEN 'sent' THEN -100 ELSE size END,
    1 + minutes * (40 - kind) / 40
FROM (
    SELECT *, (ARRAY['demo', 'export', 'harvest', 'import', 'index', 'mail', 'map', 'report'])[1 + kind / 5] AS service
    FROM (VALUES
        (1, interval '3 hours'), (5, interval '2 days'), (60, interval '8 days'), (360, interval '32 days'),
        (1440, interval '90 days')
    ) AS span (minutes, kept),
        generate_series(
            date_bin(minutes * interval '1 minute', now() - kept, timestamptz 'epoch'), now(),
            minutes * interval '1 minute'
        ) AS at,
        generate_series(0, 39) AS kind
) AS span,
    (VALUES ('sent', 1), ('queued', 20), ('SUCCESS', 20), ('FAILURE', 4), ('RETRY', 2)) AS whats (what, sizes),
    generate_series(1, sizes) AS size;
INSERT INTO task_rollup (span, at, service, type, what, size, tasks)
SELECT -span, at, '', '', what, size, sum(tasks) FROM task_rollup GROUP BY span, at, what, size;

INSERT INTO worker (
    id, service, host, pid, version, tasks, phase, paused, follows_control, queues, hands, limits, running, processed,
    interval_ms, started_at
)
SELECT
    service || '@host' || n % 7 || '.' || n || '.0a0b0c0d', service, 'host' || n % 7, n, '0.1.0', '[]', 'running', '[]',
    true, jsonb_build_array(service), '{}', '{}', n % 8, 1000 * n, 10000, now() - interval '1 day'
FROM (
    SELECT
        n, (ARRAY['demo', 'export', 'harvest', 'import', 'index', 'mail', 'map', 'report'])[1 + n % 8] AS service
    FROM generate_series(1, 50) AS n
) AS worker;

INSERT INTO schedule (name, cron, type, next_at)
SELECT 'nightly-' || n, '0 3 * * *', 'demo.kind' || n % 5, now() + interval '1 hour' FROM generate_series(1, 100) AS n;

INSERT INTO operator_action (id, at, who, role, action, subject_kind, subject, outcome)
SELECT
    (substr(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0'), 1, 8) || '-'
        || substr(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0'), 9, 4) || '-7'
        || substr(md5(n::text), 1, 3) || '-8' || substr(md5(n::text), 4, 3) || '-' || substr(md5(n::text), 7, 12))::uuid,
    at, 'user' || n % 20, 'operator', (ARRAY['cancel', 'rerun', 'pause'])[1 + n % 3], 'task', 'task-' || n, 'done'
FROM (SELECT n, now() - n * interval '10 minutes' AS at FROM generate_series(1, 100000) AS n) AS deed;
