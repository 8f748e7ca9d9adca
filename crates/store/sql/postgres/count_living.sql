-- How many tasks are in each of these states, as far as they are counted.
-- Parameters: 1 states, none of them SUCCESS, 2 most that are counted of each.
SELECT
    living.state,
    (
        SELECT count(*)
        FROM (
            SELECT 1 FROM background_task AS task
            WHERE task.state = living.state AND task.state <> 'SUCCESS'
            LIMIT $2
        ) AS matching
    ) AS tasks
FROM unnest($1::text[]) AS living (state)
