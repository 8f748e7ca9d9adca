-- What changed since an earlier look, and what this look sees: in the form of PostgreSQL's snapshots, the first
-- position that was not there. A position beyond that is one of a later copy of the database.
-- Parameters: 1 newest mark at the earlier look, or null, 2 what was there then, 3 most ids that are told.
SELECT
    is_known,
    (SELECT id FROM task_change_mark ORDER BY at DESC, id DESC LIMIT 1) AS mark,
    next || ':' || next || ':' AS seen,
    CASE WHEN is_known THEN (
        SELECT json_group_array(value) FROM task_change, json_each(ids)
        WHERE position >= CAST(?2 AS integer) AND kind = 'task'
    ) END AS tasks,
    CASE WHEN is_known THEN (
        SELECT json_group_array(value) FROM task_change, json_each(ids)
        WHERE position >= CAST(?2 AS integer) AND kind = 'session'
    ) END AS sessions,
    CASE WHEN is_known THEN (
        SELECT json_group_array(value) FROM task_change, json_each(ids)
        WHERE position >= CAST(?2 AS integer) AND kind = 'deleted'
    ) END AS deleted
FROM (
    SELECT
        next,
        CASE WHEN ?1 IS NULL
            -- What was there and is there still tells that nothing has gone.
            THEN NOT EXISTS (SELECT 1 FROM task_change_mark) AND (
                NOT EXISTS (SELECT 1 FROM task_change)
                OR EXISTS (SELECT 1 FROM task_change WHERE position < CAST(?2 AS integer))
            )
            ELSE EXISTS (SELECT 1 FROM task_change_mark WHERE id = ?1)
        END
        AND CAST(?2 AS integer) <= next
        AND (
            SELECT coalesce(sum(id_count), 0) FROM task_change WHERE position >= CAST(?2 AS integer)
        ) <= ?3 AS is_known
    -- Not the highest that is there: when all is gone, that would begin anew.
    FROM (SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'task_change'), 0) + 1 AS next)
) AS known
