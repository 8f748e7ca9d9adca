-- How long a statement of this transaction may take, and whether it may walk along an index.
-- Parameters: 1 statement_timeout, with its unit, 2 enable_indexscan.
SELECT set_config('statement_timeout', $1, true), set_config('enable_indexscan', $2, true)
