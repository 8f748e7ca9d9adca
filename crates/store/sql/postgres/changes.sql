-- What changed since an earlier look, and what this look sees: one snapshot for both. Transactions commit in any
-- order, so no number tells which rows are new; that they were not visible in the snapshot before does. What is
-- numbered higher than anything here comes from the server that the database was restored from, and is no news.
-- Parameters: 1 newest mark at the earlier look, or null, 2 what was visible then, 3 most ids that are told.
WITH missed AS MATERIALIZED (
    SELECT kind, ids, id_count FROM task_change
    WHERE written_in >= pg_snapshot_xmin($2::text::pg_snapshot)
        AND written_in < pg_snapshot_xmax(pg_current_snapshot())
        AND NOT pg_visible_in_snapshot(written_in, $2::text::pg_snapshot)
)
SELECT
    is_known,
    (SELECT id::text FROM task_change_mark ORDER BY at DESC, id DESC LIMIT 1) AS mark,
    pg_current_snapshot()::text AS seen,
    CASE WHEN is_known THEN
        (SELECT json_agg(id)::text FROM missed, unnest(ids) AS id WHERE kind = 'task')
    END AS tasks,
    CASE WHEN is_known THEN
        (SELECT json_agg(id)::text FROM missed, unnest(ids) AS id WHERE kind = 'session')
    END AS sessions,
    CASE WHEN is_known THEN
        (SELECT json_agg(id)::text FROM missed, unnest(ids) AS id WHERE kind = 'deleted')
    END AS deleted
FROM (
    SELECT
        CASE WHEN $1::text IS NULL
            -- Nothing has gone yet, unless the tables were emptied meanwhile: what was seen and is there tells that
            -- they were not.
            THEN NOT EXISTS (SELECT 1 FROM task_change_mark) AND (
                NOT EXISTS (SELECT 1 FROM task_change)
                OR EXISTS (
                    SELECT 1 FROM task_change WHERE pg_visible_in_snapshot(written_in, $2::text::pg_snapshot)
                )
            )
            ELSE EXISTS (SELECT 1 FROM task_change_mark WHERE id = $1::text::uuid)
        END
        AND pg_snapshot_xmax($2::text::pg_snapshot) <= pg_snapshot_xmax(pg_current_snapshot())
        AND (SELECT coalesce(sum(id_count), 0) FROM missed) <= $3::int8 AS is_known
) AS known
