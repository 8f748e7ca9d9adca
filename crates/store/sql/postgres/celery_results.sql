-- Results that workers of Celery's have written, none longer than is asked for.
-- Parameters: 1 task ids, a JSON array of texts, 2 most bytes.
SELECT task_id, result FROM celery_taskmeta
WHERE task_id IN (SELECT json_array_elements_text($1::json)) AND status = 'SUCCESS' AND octet_length(result) <= $2
