-- What keeps lists quick however many tasks there are.
--
-- Nobody writes tasks while these are made. Where that takes too long they are made CONCURRENTLY beforehand, as
-- docs/upgrade.md says, and are there by then.

-- Few tasks have a session.
CREATE INDEX IF NOT EXISTS background_task_session ON background_task (session_id, created_date) WHERE session_id IS NOT NULL;
-- Families in the order of sending, however large.
CREATE INDEX IF NOT EXISTS background_task_family ON background_task (root_id, created_date) WHERE root_id <> task_id;
-- Where very many wait, the newest that are over lie deep below them.
CREATE INDEX IF NOT EXISTS background_task_success ON background_task (created_date) WHERE state = 'SUCCESS';
-- A part of an error that many have is found soonest among the newest that have any.
CREATE INDEX IF NOT EXISTS background_task_error ON background_task (created_date) WHERE error_message IS NOT NULL;

CREATE INDEX IF NOT EXISTS session_status ON session (status, started_at, id);
CREATE INDEX IF NOT EXISTS session_action ON session (action, started_at, id);
CREATE INDEX IF NOT EXISTS session_creator ON session (creator_id, started_at, id) WHERE creator_id IS NOT NULL;

-- Makes the indexes that serve a search for parts of texts, where pg_trgm is there. False: it is not, or one of them
-- was made CONCURRENTLY and that was broken off, so it serves nobody until it is dropped and made again; such a
-- search looks at the newest tasks only. Only few tasks have these texts. Whoever owns the tables may call it again.
CREATE FUNCTION counterfoil_index_search() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    place name;
BEGIN
    SELECT nspname INTO place FROM pg_extension
    JOIN pg_namespace ON pg_namespace.oid = extnamespace
    WHERE extname = 'pg_trgm';
    IF place IS NULL THEN
        RETURN false;
    END IF;
    EXECUTE format(
        'CREATE INDEX IF NOT EXISTS background_task_error_part ON background_task
         USING gin (error_message %I.gin_trgm_ops) WHERE error_message IS NOT NULL',
        place
    );
    EXECUTE format(
        'CREATE INDEX IF NOT EXISTS background_task_identifier_part ON background_task
         USING gin (identifier %I.gin_trgm_ops) WHERE identifier IS NOT NULL',
        place
    );
    RETURN NOT EXISTS (
        SELECT 1 FROM pg_index
        WHERE indrelid = 'background_task'::regclass AND NOT indisvalid
            AND indexrelid IN (to_regclass('background_task_error_part'), to_regclass('background_task_identifier_part'))
    );
END
$$;

DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
EXCEPTION WHEN OTHERS THEN
    -- Not installed at the server, or not allowed: docs/operate.md, "Searching takes long", says what to do then.
    RAISE NOTICE 'pg_trgm cannot be made: %', SQLERRM;
END
$$;
SELECT counterfoil_index_search();

-- Its place is taken by background_task_family. Last: nobody reads tasks from here to the end of the transaction.
DROP INDEX IF EXISTS background_task_root;
