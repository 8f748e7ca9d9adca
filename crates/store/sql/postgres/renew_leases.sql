-- Renews leases of tasks that their workers still have; those of which little has passed are left alone.
-- Rows that another transaction is writing are left out: the next sign of life comes soon.
-- Only the service under which a worker was first heard of speaks for it.
-- Parameters: arrays of 1 task id, 2 worker, 3 service that the sign of life came from.
UPDATE background_task SET lease_until = now() + lease_ms * interval '1 millisecond'
WHERE task_id IN (
    SELECT t.task_id
    FROM background_task AS t
    JOIN unnest($1::text[], $2::text[], $3::text[]) AS u (task_id, worker, service)
        ON t.task_id = u.task_id AND t.worker = u.worker
    JOIN worker AS w ON w.id = u.worker AND w.service = u.service
    WHERE t.lease_until < now() + lease_ms * interval '0.95 millisecond'
    FOR UPDATE OF t SKIP LOCKED
)
