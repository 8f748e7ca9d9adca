-- The sequence of ids of celery_tasksetmeta, as Celery makes it.
CREATE SEQUENCE IF NOT EXISTS taskset_id_sequence
