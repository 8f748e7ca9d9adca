-- Writes what a batch knows about its tasks: new rows, and the higher state and description of
-- those that are there. Rows that would stay the same are not touched.
-- Parameters: one array per column, in the order of the columns; rows in the order of task_id, so
-- that two writers lock them in the same order. created_date is null where the id does not tell it.
WITH changed AS (
INSERT INTO background_task AS t (
    id, task_id, type, service, state, run, rescue, sticky, executions, deliveries, rank,
    event_id, copy_run, copy_rescue, copy_executions, copy_digest, input, options, message,
    headers, properties, exchange, routing_key, creator_id, related_content_type,
    related_object_id, identifier, parent_id, root_id, session_id, is_result, progress_current,
    progress_total, progress_message, error_kind, error_message, eta, expires, retry_at, worker,
    created_date, addressee, tries, lease_ms, restarts, retention_s,
    delayed_until, delay_bits, lease_until, recount
)
SELECT
    u.id, u.task_id, u.type, u.service, u.state, u.run, u.rescue, u.sticky, u.executions,
    u.deliveries, u.rank, u.event_id::uuid, u.copy_run, u.copy_rescue, u.copy_executions,
    u.copy_digest, u.input::jsonb, u.options::jsonb, u.message, u.headers::jsonb,
    u.properties::jsonb, u.exchange, u.routing_key, u.creator_id, u.related_content_type,
    u.related_object_id, u.identifier, u.parent_id, u.root_id, u.session_id, u.is_result,
    u.progress_current, u.progress_total, u.progress_message, u.error_kind, u.error_message,
    u.eta, u.expires, u.retry_at, u.worker, LEAST(u.created_date, now()),
    u.addressee, u.tries, u.lease_ms, u.restarts, u.retention_s, u.delayed_until, u.delay_bits,
    now() + u.lease_ms * interval '1 millisecond',
    u.state IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED', 'RETRY')
        OR u.run > 0 OR u.rescue > 0 OR u.executions > 0 OR u.tries > 0 OR u.deliveries > 0
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int4[], $7::int4[],
    $8::int2[], $9::int4[], $10::int4[], $11::int2[], $12::text[], $13::int4[], $14::int4[],
    $15::int4[], $16::int8[], $17::text[], $18::text[], $19::bytea[], $20::text[], $21::text[],
    $22::text[], $23::text[], $24::text[], $25::text[], $26::text[], $27::text[], $28::text[],
    $29::text[], $30::text[], $31::bool[], $32::int8[], $33::int8[], $34::text[], $35::text[],
    $36::text[], $37::timestamptz[], $38::timestamptz[], $39::timestamptz[], $40::text[],
    $41::timestamptz[], $42::text[], $43::int4[], $44::int4[], $45::int4[],
    $46::int8[], $47::timestamptz[], $48::int4[]
) AS u (
    id, task_id, type, service, state, run, rescue, sticky, executions, deliveries, rank,
    event_id, copy_run, copy_rescue, copy_executions, copy_digest, input, options, message,
    headers, properties, exchange, routing_key, creator_id, related_content_type,
    related_object_id, identifier, parent_id, root_id, session_id, is_result, progress_current,
    progress_total, progress_message, error_kind, error_message, eta, expires, retry_at, worker,
    created_date, addressee, tries, lease_ms, restarts, retention_s,
    delayed_until, delay_bits
)
ON CONFLICT (task_id) DO UPDATE SET
    -- State: the higher of both.
    state = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.state ELSE t.state END,
    run = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.run ELSE t.run END,
    rescue = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.rescue ELSE t.rescue END,
    sticky = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.sticky ELSE t.sticky END,
    executions = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.executions ELSE t.executions END,
    deliveries = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.deliveries ELSE t.deliveries END,
    tries = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.tries ELSE t.tries END,
    rank = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.rank ELSE t.rank END,
    event_id = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.event_id ELSE t.event_id END,
    progress_current = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.progress_current ELSE t.progress_current END,
    progress_total = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.progress_total ELSE t.progress_total END,
    progress_message = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.progress_message ELSE t.progress_message END,
    error_kind = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.error_kind ELSE t.error_kind END,
    error_message = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.error_message ELSE t.error_message END,
    retry_at = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.retry_at ELSE t.retry_at END,
    worker = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.worker ELSE t.worker END,
    lease_ms = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.lease_ms ELSE t.lease_ms END,
    restarts = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.restarts ELSE t.restarts END,
    lease_until = CASE WHEN (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id) THEN excluded.lease_until ELSE t.lease_until END,
    -- Description: that of the higher copy.
    copy_run = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.copy_run ELSE t.copy_run END,
    copy_rescue = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.copy_rescue ELSE t.copy_rescue END,
    copy_executions = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.copy_executions ELSE t.copy_executions END,
    copy_digest = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.copy_digest ELSE t.copy_digest END,
    input = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.input ELSE t.input END,
    options = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.options ELSE t.options END,
    message = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.message ELSE t.message END,
    headers = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.headers ELSE t.headers END,
    properties = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.properties ELSE t.properties END,
    exchange = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.exchange ELSE t.exchange END,
    routing_key = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.routing_key ELSE t.routing_key END,
    addressee = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.addressee ELSE t.addressee END,
    creator_id = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.creator_id ELSE t.creator_id END,
    related_content_type = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.related_content_type ELSE t.related_content_type END,
    related_object_id = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.related_object_id ELSE t.related_object_id END,
    identifier = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.identifier ELSE t.identifier END,
    is_result = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.is_result ELSE t.is_result END,
    retention_s = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.retention_s ELSE t.retention_s END,
    eta = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.eta ELSE t.eta END,
    expires = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.expires ELSE t.expires END,
    -- Of all copies all, and the latest.
    delay_bits = t.delay_bits | excluded.delay_bits,
    delayed_until = GREATEST(t.delayed_until, excluded.delayed_until),
    -- What events know as well: theirs while there is no copy, the least where they differ.
    type = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.type
        WHEN t.copy_run < 0 AND excluded.type < t.type THEN excluded.type ELSE t.type END,
    service = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.service
        WHEN t.copy_run < 0 AND excluded.type < t.type THEN excluded.service ELSE t.service END,
    parent_id = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.parent_id
        WHEN t.copy_run < 0 THEN LEAST(t.parent_id, excluded.parent_id) ELSE t.parent_id END,
    root_id = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.root_id
        WHEN t.copy_run < 0 THEN LEAST(t.root_id, excluded.root_id) ELSE t.root_id END,
    session_id = CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.session_id
        WHEN t.copy_run < 0 THEN LEAST(t.session_id, excluded.session_id) ELSE t.session_id END,
    -- Whether the session has something to count: an end, what came back, that an end was none, or that the task
    -- is one of its own.
    recount = (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id)
        AND (excluded.recount OR t.state IN ('SUCCESS', 'FAILURE', 'REVOKED', 'REJECTED'))
        OR t.session_id IS DISTINCT FROM CASE WHEN (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest) THEN excluded.session_id
        WHEN t.copy_run < 0 THEN LEAST(t.session_id, excluded.session_id) ELSE t.session_id END
WHERE (excluded.run, excluded.rescue, excluded.sticky, excluded.executions, excluded.deliveries, excluded.tries, excluded.rank, excluded.event_id)
        > (t.run, t.rescue, t.sticky, t.executions, t.deliveries, t.tries, t.rank, t.event_id)
    OR (excluded.copy_run, excluded.copy_rescue, excluded.copy_executions, excluded.copy_digest)
        > (t.copy_run, t.copy_rescue, t.copy_executions, t.copy_digest)
    OR t.delay_bits | excluded.delay_bits <> t.delay_bits
    OR GREATEST(t.delayed_until, excluded.delayed_until) IS DISTINCT FROM t.delayed_until
    OR t.copy_run < 0 AND excluded.copy_run < 0 AND (
        excluded.type < t.type
        OR LEAST(t.parent_id, excluded.parent_id) IS DISTINCT FROM t.parent_id
        OR LEAST(t.root_id, excluded.root_id) IS DISTINCT FROM t.root_id
        OR LEAST(t.session_id, excluded.session_id) IS DISTINCT FROM t.session_id
    )
RETURNING
    -- What is inserted has replaced nothing.
    t.xmax = 0 AS is_new, created_date, service, type,
    id, task_id, CASE WHEN recount THEN session_id END AS session_id, state,
    state = 'SUCCESS' AND error_kind IS NOT DISTINCT FROM 'skipped' AS skipped,
    state = 'RETRY' OR executions > 0 OR tries > 0 OR deliveries > 0 OR rescue > 0 OR run > 0 AS came_back
), told AS (
    -- Tells whoever follows: see tell_changes.sql.
    INSERT INTO task_change (kind, ids, id_count)
    SELECT 'task', array_agg(id), count(*) FROM changed
    HAVING count(*) > 0
), sent AS (
    INSERT INTO task_rollup_delta (at, service, type, what, size, tasks)
    SELECT date_bin('1 minute', created_date, timestamptz 'epoch'), service, type, 'sent', -100, count(*)
    FROM changed
    WHERE is_new
    GROUP BY 1, 2, 3
)
-- How many rows changed; which of them are subtasks about which there is something to count, and what they say:
-- those together that say the same, since a batch has hundreds of them.
SELECT
    count(*), session_id, state, skipped, came_back, array_agg(task_id) FILTER (WHERE session_id IS NOT NULL) AS ids
FROM changed
GROUP BY session_id, state, skipped, came_back
