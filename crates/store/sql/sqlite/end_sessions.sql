-- Notes that open sessions are aborted, or that their time is over.
-- Parameters: 1 a JSON array of {"id": …, "timed_out": …, "written_off": …, "by": …}; timed_out false: aborted.
UPDATE session SET
    status = CASE WHEN u.is_timed_out THEN status ELSE 'ABORTING' END,
    aborted_by = CASE WHEN u.is_timed_out THEN aborted_by ELSE u.asked_by END,
    timed_out = timed_out OR u.is_timed_out,
    written_off = written_off OR u.is_written_off
FROM (
    SELECT
        value ->> 'id' AS id, value ->> 'timed_out' AS is_timed_out, value ->> 'written_off' AS is_written_off,
        value ->> 'by' AS asked_by
    FROM json_each(?1)
) AS u
WHERE session.id = u.id
    AND (session.status = 'ONGOING' OR session.status = 'ABORTING' AND u.is_timed_out)
