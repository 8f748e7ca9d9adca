-- How often tasks were retried: once however often an execution was repeated. Without a word about it (Python) a
-- retry counts.
-- Parameters: 1 task ids, a JSON array of texts.
SELECT
    task_id,
    count(DISTINCT (run, rescue, executions + tries)) FILTER (WHERE counts) AS counted,
    count(DISTINCT (run, rescue, executions + tries)) FILTER (WHERE NOT counts) AS uncounted
FROM (
    SELECT task_id, run, rescue, executions, tries, coalesce((detail ->> 'counted')::boolean, true) AS counts
    FROM task_event
    WHERE task_id IN (SELECT json_array_elements_text($1::json)) AND kind = 'RETRY'
) AS event
GROUP BY task_id
