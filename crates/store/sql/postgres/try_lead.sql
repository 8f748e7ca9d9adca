-- Takes the lock of a leader for this session, if it is free. The schema is part of the key: two
-- installations may share a database. And marks the session: a pooler that gives it to others by the transaction
-- lets each of them take the lock, which a session may take as often as it likes.
-- Parameters: 1 name of the leadership, 2 the mark.
SELECT
    pg_try_advisory_lock(hashtextextended('counterfoil.lead.' || current_schema() || '.' || $1, 0)),
    set_config('counterfoil.leader', $2, false)
