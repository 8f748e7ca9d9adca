-- The shortest lease, in milliseconds; null: no worker has taken a task over.
SELECT min(lease_ms) FROM background_task WHERE lease_until IS NOT NULL
