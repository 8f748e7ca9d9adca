-- Limits of a session: how long a statement may take, how long a transaction may hold its locks while
-- its owner is silent, and how soon a vanished client is noticed, with the locks that it holds.
-- Parameters: 1 statement_timeout, with its unit.
SELECT
    set_config('statement_timeout', $1, false),
    set_config('idle_in_transaction_session_timeout', '60s', false),
    set_config('tcp_keepalives_idle', '10', false),
    set_config('tcp_keepalives_interval', '5', false),
    set_config('tcp_keepalives_count', '3', false)
