-- Counts for charts.
-- Parameters: 1 a JSON array of {"at", "service", "type", "what", "size", "tasks"}. Nothing happens later than now.
INSERT INTO task_rollup_delta (at, service, type, what, size, tasks)
SELECT
    strftime('%Y-%m-%dT%H:%M:00.000000Z', min(value ->> 'at', strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))),
    value ->> 'service', value ->> 'type', value ->> 'what', value ->> 'size', value ->> 'tasks'
FROM json_each(?1)
