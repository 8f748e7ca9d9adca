-- Tasks of some types that match every filter that is not null, oldest first. Of each type as many are read as are
-- wanted of all: the index has them in the order of sending for one type at a time.
-- Parameters: 1 state, 2 service, 3 type (then 2 is its service), 4 creator_id,
-- 5 related_content_type, 6 related_object_id, 7 root task id, 8 sent at this time or later,
-- 9 and 10 created_date and id of a row than which they are older, 11 limit, 12 identifier,
-- 13 session_id, 14 sent before this time, 15 and 16 created_date and id of a row than which they are
-- newer, 17 whether the root itself is wanted, 18 and 19 services and types.
SELECT
    id, task_id, type, service, state, run, rescue, executions, deliveries, tries, event_id::text,
    input::text, options::text, exchange, routing_key, creator_id, related_content_type,
    related_object_id, identifier, parent_id, root_id, session_id, immutable, is_result, held,
    progress_current, progress_total, progress_message, error_kind, error_message, eta, expires,
    retry_at, worker, lease_until, created_date, last_updated
FROM background_task
WHERE id IN (
    SELECT one.id
    FROM unnest($18::text[], $19::text[]) AS kind (service, type)
    CROSS JOIN LATERAL (
        SELECT id, created_date
        FROM background_task AS task
        WHERE task.service = kind.service AND task.type = kind.type
            AND ($1::text IS NULL OR state = $1)
            AND ($2::text IS NULL OR task.service = $2)
            AND ($3::text IS NULL OR task.type = $3)
            AND ($4::text IS NULL OR creator_id = $4)
            AND ($5::text IS NULL OR related_content_type = $5 AND related_object_id = $6)
            AND ($7::text IS NULL OR root_id = $7 AND root_id <> task_id OR $17::boolean AND task_id = $7)
            AND ($8::timestamptz IS NULL OR created_date >= $8)
            AND ($9::timestamptz IS NULL OR (created_date, id) < ($9, $10::text))
            AND ($12::text IS NULL OR identifier = $12)
            AND ($13::text IS NULL OR session_id = $13)
            AND ($14::timestamptz IS NULL OR created_date < $14)
            AND ($15::timestamptz IS NULL OR (created_date, id) > ($15, $16::text))
        ORDER BY created_date, id
        LIMIT $11
    ) AS one
    ORDER BY one.created_date, one.id
    LIMIT $11
)
ORDER BY created_date, id
LIMIT $11
