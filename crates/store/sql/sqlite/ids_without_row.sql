-- Which of the ids that histories, results and logs know have no row: a part of all ids, in their order. The
-- last one tells where the next part begins.
-- Parameters: 1 task id after which they come, 2 how many ids are looked at.
SELECT
    page.task_id,
    NOT EXISTS (SELECT 1 FROM background_task AS task WHERE task.task_id = page.task_id) AS has_no_row
FROM (
    SELECT * FROM (SELECT DISTINCT task_id FROM task_event WHERE task_id > ?1 ORDER BY task_id LIMIT ?2) AS event
    UNION
    SELECT * FROM (SELECT DISTINCT task_id FROM task_result WHERE task_id > ?1 ORDER BY task_id LIMIT ?2) AS result
    UNION
    SELECT * FROM (SELECT DISTINCT task_id FROM task_log WHERE task_id > ?1 ORDER BY task_id LIMIT ?2) AS log
) AS page
ORDER BY page.task_id
LIMIT ?2
