-- How many tasks are in each of these states, as far as they are counted.
-- Parameters: 1 states, none of them SUCCESS, a JSON array of texts, 2 most that are counted of each.
SELECT
    living.value AS state,
    (
        SELECT count(*)
        FROM (
            SELECT 1 FROM background_task AS task
            WHERE task.state = living.value AND task.state <> 'SUCCESS'
            LIMIT ?2
        ) AS matching
    ) AS tasks
FROM json_each(?1) AS living
