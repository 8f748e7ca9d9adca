-- The index by which old rows of celery_tasksetmeta are found, as Celery makes it.
CREATE INDEX IF NOT EXISTS ix_celery_tasksetmeta_date_done ON celery_tasksetmeta (date_done)
