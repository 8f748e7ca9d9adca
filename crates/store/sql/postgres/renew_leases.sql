-- Renews leases of tasks that their workers still have; those of which little has passed are left alone.
-- Rows that another transaction is writing are left out: the next sign of life comes soon.
-- Parameters: arrays of 1 task id, 2 worker.
UPDATE background_task SET lease_until = now() + lease_ms * interval '1 millisecond'
WHERE task_id IN (
    SELECT t.task_id
    FROM background_task AS t
    JOIN unnest($1::text[], $2::text[]) AS u (task_id, worker)
        ON t.task_id = u.task_id AND t.worker = u.worker
    WHERE t.lease_until < now() + lease_ms * interval '0.95 millisecond'
    FOR UPDATE OF t SKIP LOCKED
)
