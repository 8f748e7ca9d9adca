-- How many tasks match every filter that is not null, as far as they are counted.
-- Parameters: 1 state, 2 service, 3 type (then 2 is its service), 4 creator_id,
-- 5 related_content_type, 6 related_object_id, 7 root task id, 8 sent at this time or later,
-- 9 and 10 created_date and id of a row than which they are older, 11 most that are counted, 12 identifier,
-- 13 session_id, 14 sent before this time, 15 and 16 created_date and id of a row than which they are
-- newer, 17 whether the root itself is wanted, 18 text to look for, 19 to 21 patterns: that contain
-- it, that begin with it, and the same for ids, 22 and 23 types of related objects and the object's id,
-- 24 and 25 services and types of which one contains the text, 26 pattern of error messages that
-- contain it.
SELECT count(*)
FROM (
    SELECT 1 FROM background_task
    WHERE ($1::text IS NULL OR state = $1)
        AND ($2::text IS NULL OR service = $2)
        AND ($3::text IS NULL OR type = $3)
        AND ($4::text IS NULL OR creator_id = $4)
        AND ($5::text IS NULL OR related_content_type = $5 AND related_object_id = $6)
        AND ($7::text IS NULL OR root_id = $7 AND root_id <> task_id OR $17::boolean AND task_id = $7)
        AND ($8::timestamptz IS NULL OR created_date >= $8)
        AND ($9::timestamptz IS NULL OR (created_date, id) < ($9, $10::text))
        AND ($12::text IS NULL OR identifier = $12)
        AND ($13::text IS NULL OR session_id = $13)
        AND ($14::timestamptz IS NULL OR created_date < $14)
        AND ($15::timestamptz IS NULL OR (created_date, id) > ($15, $16::text))
        AND ($18::text IS NULL AND $26::text IS NULL OR (
            task_id = $18 OR id = $18 OR task_id LIKE $21 OR id LIKE $21
            OR identifier = $18 OR identifier ILIKE $19
            OR error_message ILIKE $26
            OR creator_id = $18 OR creator_id LIKE $20
            OR $22::text[] IS NOT NULL AND related_content_type = ANY ($22) AND related_object_id = $23::text
            OR $24::text[] IS NOT NULL AND service = ANY ($24) AND type = ANY ($25::text[])
            OR $19::text IS NOT NULL AND state IN ('RECEIVED', 'STARTED', 'PROGRESS', 'RETRY') AND worker ILIKE $19
        ))
    LIMIT $11
) AS matching
