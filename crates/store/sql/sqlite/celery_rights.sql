-- Whether the user may write results into the table of Celery: who may write to the file may.
SELECT true
