-- Results that workers of Celery's have written: none longer than is asked for, and of all together only so much.
-- Parameters: 1 task ids, a JSON array of texts, 2 most bytes of one, 3 most bytes of all.
SELECT task_id, result
FROM (
    SELECT task_id, result, sum(length(result)) OVER (ORDER BY task_id) AS total
    FROM celery_taskmeta
    WHERE task_id IN (SELECT value FROM json_each(?1)) AND status = 'SUCCESS' AND length(result) <= ?2
) AS each
WHERE total <= ?3
