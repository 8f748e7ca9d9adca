-- The sequence of ids of celery_taskmeta, as Celery makes it.
CREATE SEQUENCE IF NOT EXISTS task_id_sequence
