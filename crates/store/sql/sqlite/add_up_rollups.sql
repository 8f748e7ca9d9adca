-- Adds up what transactions have counted up to a position, in every span, by type and of all types together.
-- Parameters: 1 spans, a JSON array, 2 position.
INSERT INTO task_rollup (span, at, service, type, what, size, tasks)
SELECT
    span,
    strftime(
        '%Y-%m-%dT%H:%M:%S.000000Z',
        strftime('%s', at) / (abs(span) * 60) * (abs(span) * 60), 'unixepoch'
    ) AS begins,
    service, type, what, size, sum(tasks)
FROM (
    SELECT level.value AS span, at, service, task_rollup_delta.type AS type, what, size, tasks
    FROM task_rollup_delta, json_each(?1) AS level
    WHERE position <= ?2
    UNION ALL
    SELECT -level.value, at, '', '', what, size, tasks
    FROM task_rollup_delta, json_each(?1) AS level
    WHERE position <= ?2
) AS spans
GROUP BY span, begins, service, type, what, size
ON CONFLICT DO UPDATE SET tasks = task_rollup.tasks + excluded.tasks
