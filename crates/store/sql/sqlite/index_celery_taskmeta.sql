-- The index by which old rows of celery_taskmeta are found, as Celery makes it.
CREATE INDEX IF NOT EXISTS ix_celery_taskmeta_date_done ON celery_taskmeta (date_done)
