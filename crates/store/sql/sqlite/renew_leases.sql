-- Renews the lease of a task that its worker still has; one of which little has passed is left alone.
-- Only the service under which a worker was first heard of speaks for it.
-- Parameters: 1 task id, 2 worker, 3 service that the sign of life came from.
UPDATE background_task
SET lease_until = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', (lease_ms / 1000.0) || ' seconds')
WHERE task_id = ?1 AND worker = ?2
    AND lease_until < strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', (lease_ms * 0.95 / 1000.0) || ' seconds')
    AND EXISTS (SELECT 1 FROM worker WHERE id = ?2 AND service = ?3)
