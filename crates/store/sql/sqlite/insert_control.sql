-- Records what is asked of workers.
-- Parameters: the columns, in their order.
INSERT INTO control (id, kind, subject, run, created_by, created_date, ends_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (id) DO NOTHING
