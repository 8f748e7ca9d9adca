-- Takes the lock of a leader for this session, if it is free. The schema is part of the key: two
-- installations may share a database.
-- Parameters: 1 name of the leadership.
SELECT pg_try_advisory_lock(hashtextextended('counterfoil.lead.' || current_schema() || '.' || $1, 0))
