-- Forgets tasks that were never sent after so long, unless somebody waits for them.
-- Parameters: 1 seconds.
DELETE FROM skipped_task WHERE created_date < now() - make_interval(secs => $1)
    AND NOT EXISTS (SELECT 1 FROM chord_member WHERE chord_member.task_id = skipped_task.task_id)
