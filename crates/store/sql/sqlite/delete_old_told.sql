-- Removes what callers in Python were told, so long ago, of tasks that the platform does not know: that they are never sent,
-- unless somebody waits for them, and that they are revoked.
-- Parameters: 1 seconds, 2 the result of one that is revoked.
DELETE FROM celery_taskmeta AS m
WHERE m.date_done < strftime('%Y-%m-%d %H:%M:%f000', 'now', '-' || ?1 || ' seconds')
    AND (
        m.status = 'REVOKED' AND m.result = ?2
        OR m.result = (SELECT told FROM skipped_task AS s WHERE s.task_id = m.task_id)
    )
    AND NOT EXISTS (SELECT 1 FROM background_task AS t WHERE t.task_id = m.task_id)
    AND NOT EXISTS (SELECT 1 FROM chord_member AS c WHERE c.task_id = m.task_id)
