-- Limits of a session: how long a statement may take, how long a transaction may hold its locks while
-- its owner is silent, and how soon a vanished client is noticed, with the locks that it holds. No statement
-- here is worth a compiler: it takes half a second where estimates are far off, and the statement 10 ms. Each is
-- planned anew: a plan that was made while a table was small would go on to read all of it.
-- Parameters: 1 statement_timeout, with its unit.
SELECT
    set_config('statement_timeout', $1, false),
    set_config('idle_in_transaction_session_timeout', '60s', false),
    set_config('tcp_keepalives_idle', '10', false),
    set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false),
    set_config('jit', 'off', false),
    set_config('plan_cache_mode', 'force_custom_plan', false)
