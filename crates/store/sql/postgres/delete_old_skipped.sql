-- Forgets tasks that were never sent after so long.
-- Parameters: 1 seconds.
DELETE FROM skipped_task WHERE created_date < now() - make_interval(secs => $1)
