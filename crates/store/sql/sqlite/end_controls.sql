-- Ends what was asked about tasks that are over: a worker, or whoever else may, has told so. A task that
-- the platform alone calls cancelled may still wait in a queue.
-- Parameters: 1 time before which it was published, 2 time before which it was asked if the tasks are
-- not known any more.
UPDATE control SET ends_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')
WHERE ends_at IS NULL AND published_at < ?1
    AND CASE replace(kind, 'time_out_session', 'revoke_session')
        WHEN 'pause_service' THEN false
        WHEN 'revoke_family' THEN NOT EXISTS (
            SELECT 1 FROM background_task AS t
            WHERE (t.task_id = control.subject OR t.root_id = control.subject AND t.root_id <> t.task_id)
            AND (
                t.state NOT IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED')
                OR t.state = 'REVOKED' AND t.worker IS NULL AND t.error_kind = 'cancelled'
            )
        )
        WHEN 'revoke_session' THEN NOT EXISTS (
            SELECT 1 FROM session AS s
            WHERE s.id = control.subject AND (
                s.finished_at IS NULL OR s.finished_at >= ?2
                -- One that is not due yet may still come.
                OR EXISTS (
                    SELECT 1 FROM session_subtask AS subtask JOIN background_task AS t ON t.task_id = subtask.task_id
                    WHERE subtask.session_id = s.id AND t.worker IS NULL
                        AND t.error_kind IN ('aborted', 'session_timeout')
                        AND max(coalesce(t.eta, ''), coalesce(t.delayed_until, '')) >= ?2
                )
            )
        )
        ELSE NOT EXISTS (
            SELECT 1 FROM background_task AS t
            WHERE t.task_id = control.subject AND (
                t.state NOT IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED')
                OR t.state = 'REVOKED' AND t.worker IS NULL AND t.error_kind = 'cancelled'
            )
        )
    END
    AND (
        created_date < ?2
        OR EXISTS (SELECT 1 FROM background_task AS t WHERE t.task_id = control.subject)
    )
