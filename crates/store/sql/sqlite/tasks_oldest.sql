-- Tasks that match every filter that is not null, oldest first.
-- Parameters: 1 state, 2 service, 3 type (then 2 is its service), 4 creator_id,
-- 5 related_content_type, 6 related_object_id, 7 root task id, 8 sent at this time or later,
-- 9 and 10 created_date and id of a row than which they are older, 11 limit, 12 identifier,
-- 13 session_id, 14 sent before this time, 15 and 16 created_date and id of a row than which they are
-- newer, 17 whether the root itself is wanted, 18 text to look for, 19 to 21 patterns: that contain
-- it, that begin with it, and the same for ids, 22 and 23 types of related objects and the object's id,
-- 24 and 25 services and types of which one contains the text, 26 pattern of error messages that
-- contain it.
-- SQLite plans without knowing the parameters and walks the rows in the order of sending: enough for
-- the sizes that it is meant for.
SELECT
    id, task_id, type, service, state, run, rescue, executions, deliveries, tries, event_id, input,
    options, exchange, routing_key, creator_id, related_content_type, related_object_id,
    identifier, parent_id, root_id, session_id, immutable, is_result, held, progress_current,
    progress_total, progress_message, error_kind, error_message, eta, expires, retry_at, worker,
    lease_until, created_date, last_updated
FROM background_task
WHERE (?1 IS NULL OR state = ?1)
    AND (?2 IS NULL OR service = ?2)
    AND (?3 IS NULL OR type = ?3)
    AND (?4 IS NULL OR creator_id = ?4)
    AND (?5 IS NULL OR related_content_type = ?5 AND related_object_id = ?6)
    AND (?7 IS NULL OR root_id = ?7 AND root_id <> task_id OR ?17 AND task_id = ?7)
    AND (?9 IS NULL OR (created_date, id) < (?9, ?10))
    AND (?12 IS NULL OR identifier = ?12)
    AND (?13 IS NULL OR session_id = ?13)
    AND (?14 IS NULL OR created_date < ?14)
    AND (?15 IS NULL OR (created_date, id) > (?15, ?16))
    -- What bounds the part of the index that is read, known or not: texts below and above all times.
    AND created_date >= max(coalesce(?8, ''), coalesce(?15, ''))
    AND created_date <= min(coalesce(?9, '~'), coalesce(?14, '~'))
    AND (?18 IS NULL AND ?26 IS NULL OR (
        task_id = ?18 OR id = ?18 OR task_id LIKE ?21 ESCAPE '\' OR id LIKE ?21 ESCAPE '\'
        OR identifier = ?18 OR identifier LIKE ?19 ESCAPE '\'
        OR error_message LIKE ?26 ESCAPE '\'
        OR creator_id = ?18 OR creator_id LIKE ?20 ESCAPE '\'
        OR related_content_type IN (SELECT value FROM json_each(?22)) AND related_object_id = ?23
        OR service IN (SELECT value FROM json_each(?24)) AND type IN (SELECT value FROM json_each(?25))
        OR state IN ('RECEIVED', 'STARTED', 'PROGRESS', 'RETRY') AND worker LIKE ?19 ESCAPE '\'
    ))
ORDER BY created_date, id
LIMIT ?11
