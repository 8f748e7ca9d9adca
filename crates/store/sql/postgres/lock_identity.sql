-- Lets one transaction at a time claim an identifier of a type; the others wait until it is over. Tells whether the
-- next statement will see what those have committed for whom it waited.
-- Parameters: 1 type, 2 identifier.
SELECT pg_advisory_xact_lock(
    hashtextextended(format('counterfoil.identity.%s.%L.%L', current_schema(), $1::text, $2::text), 0)
), current_setting('transaction_isolation') IN ('read committed', 'read uncommitted')
