-- Whether this is the session that took the lock, and nobody else took it in the same one.
-- Parameters: 1 the mark.
SELECT current_setting('counterfoil.leader', true) IS NOT DISTINCT FROM $1
