-- Columns of the table in which Celery keeps results; none: there is no such table.
SELECT attname::text FROM pg_attribute
WHERE attrelid = to_regclass('celery_taskmeta') AND attnum > 0 AND NOT attisdropped
