-- Finished tasks of the last half year, each with its result and three lines of history, as a daemon that
-- has run for so long would have left them; and some that are not over.
-- Parameters: psql variables tasks and living.

DO $$
BEGIN
    FOR back IN 1..6 LOOP
        EXECUTE format(
            'CREATE TABLE IF NOT EXISTS %I PARTITION OF task_event FOR VALUES FROM (%L) TO (%L)',
            'task_event_' || to_char(now() - make_interval(months => back), 'YYYYMM'),
            date_trunc('month', now() - make_interval(months => back), 'UTC'),
            date_trunc('month', now() - make_interval(months => back - 1), 'UTC')
        );
    END LOOP;
END
$$;

CREATE TEMPORARY TABLE task AS
SELECT
    n,
    'scale-' || lpad(n::text, 9, '0') AS task_id,
    (ARRAY['demo', 'export', 'harvest', 'mail', 'report'])[1 + n % 5] AS service,
    (ARRAY['demo', 'export', 'harvest', 'mail', 'report'])[1 + n % 5] || '.kind' || n % 25 AS type,
    CASE
        WHEN n > :tasks THEN (ARRAY['PENDING', 'STARTED', 'RETRY', 'UNROUTABLE'])[1 + n % 4]
        WHEN n % 20 = 0 THEN 'FAILURE'
        WHEN n % 50 = 1 THEN 'REVOKED'
        WHEN n % 1000 = 2 THEN 'REJECTED'
        ELSE 'SUCCESS'
    END AS state,
    CASE
        WHEN n > :tasks THEN now() - (n - :tasks) * interval '1 second'
        -- Forty to a hundred and sixty days ago.
        ELSE now() - interval '160 days' + n * (interval '120 days' / :tasks)
    END AS at
FROM generate_series(1, :tasks + :living) AS n;

INSERT INTO background_task (
    id, task_id, type, service, state, run, rescue, sticky, executions, deliveries, tries, rank, event_id,
    copy_run, copy_rescue, copy_executions, copy_digest, input, options, message, headers, properties,
    exchange, routing_key, addressee, creator_id, related_content_type, related_object_id, identifier,
    root_id, parent_id, worker, created_date, last_updated
)
SELECT
    md5(task_id), task_id, type, service, state, 0, 0, (state = 'SUCCESS')::int * 2, 0, 0, 0, 90,
    gen_random_uuid(), 0, 0, 0, 0,
    jsonb_build_object('args', jsonb_build_array(), 'kwargs', jsonb_build_object('project', n)),
    '{"retries": 0}', convert_to('[[], {"project": ' || n || '}, {}]', 'UTF8'),
    jsonb_build_object('task', type, 'id', task_id, 'argsrepr', repeat('x', 200)),
    '{"content_type": "application/json"}', 'task_exchange', type, service,
    'user' || n % 1000, 'project', (n % 5000)::text, CASE WHEN n % 10 = 0 THEN 'name' || n END,
    CASE WHEN n % 10 = 9 THEN 'scale-' || lpad((n - 9)::text, 9, '0') ELSE task_id END,
    CASE WHEN n % 10 = 9 THEN 'scale-' || lpad((n - 9)::text, 9, '0') END,
    'demo@host.7.0a0b0c0d', at, at
FROM task;

INSERT INTO task_result (
    task_id, run, status, rescue, sticky, executions, deliveries, tries, rank, event_id, result, date_done,
    runtime_ms, worker
)
SELECT
    task_id, 0, state, 0, 2, 0, 0, 0, 90, gen_random_uuid(),
    jsonb_build_object('rows', n, 'path', repeat('p', 60)), at, 12, 'demo@host.7.0a0b0c0d'
FROM task WHERE n <= :tasks;

INSERT INTO task_event (
    task_id, event_id, at, run, rescue, executions, deliveries, tries, kind, worker, happened_at
)
SELECT task_id, gen_random_uuid(), at, 0, 0, 0, 0, 0, kind, 'demo@host.7.0a0b0c0d', at
FROM task, unnest(ARRAY['PENDING', 'STARTED', state]) AS kind
WHERE n <= :tasks;

VACUUM ANALYZE;
