-- Forgets tasks that were never sent after so long.
-- Parameters: 1 seconds.
DELETE FROM skipped_task WHERE created_date < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-' || ?1 || ' seconds')
