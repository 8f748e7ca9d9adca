-- Notes that open sessions are aborted, or that their time is over.
-- Parameters: 1 a JSON array of {"id": …, "timed_out": …, "written_off": …, "by": …}; timed_out false: aborted.
UPDATE session AS s SET
    status = CASE WHEN u.timed_out THEN s.status ELSE 'ABORTING' END,
    aborted_by = CASE WHEN u.timed_out THEN s.aborted_by ELSE u.by END,
    timed_out = s.timed_out OR u.timed_out,
    written_off = s.written_off OR u.written_off
FROM json_to_recordset($1::json) AS u (id text, timed_out boolean, written_off boolean, by text)
WHERE s.id = u.id AND (s.status = 'ONGOING' OR s.status = 'ABORTING' AND u.timed_out)
