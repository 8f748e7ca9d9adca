-- Whether the user may write results into the table of Celery.
SELECT has_table_privilege('celery_taskmeta', 'SELECT') AND has_table_privilege('celery_taskmeta', 'INSERT')
    AND has_table_privilege('celery_taskmeta', 'UPDATE')
    AND has_table_privilege('celery_taskmeta', 'DELETE')
    AND coalesce(has_sequence_privilege(to_regclass('task_id_sequence'), 'USAGE'), false)
