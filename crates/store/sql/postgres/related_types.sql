-- Types of all objects that tasks are about, in alphabetical order. It jumps from one to the next in the index,
-- however many tasks each of them has.
WITH RECURSIVE found (related_content_type) AS (
    SELECT min(related_content_type) FROM background_task WHERE related_content_type IS NOT NULL
    UNION ALL
    SELECT (
        SELECT min(task.related_content_type) FROM background_task AS task
        WHERE task.related_content_type > found.related_content_type
    )
    FROM found
    WHERE found.related_content_type IS NOT NULL
)
SELECT related_content_type FROM found WHERE related_content_type IS NOT NULL
LIMIT 1000
