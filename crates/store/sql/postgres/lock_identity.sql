-- Lets one transaction at a time claim an identifier of a type; the others wait until it is over.
-- Parameters: 1 type, 2 identifier.
SELECT pg_advisory_xact_lock(
    hashtextextended(format('counterfoil.identity.%s.%L.%L', current_schema(), $1::text, $2::text), 0)
)
