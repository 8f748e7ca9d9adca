-- Columns of the table in which Celery keeps results; none: there is no such table.
SELECT name FROM pragma_table_info('celery_taskmeta')
