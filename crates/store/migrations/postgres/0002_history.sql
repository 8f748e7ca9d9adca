-- History: what happened to every task, and what its handlers wrote. Only ever appended to.

CREATE TABLE task_event (
    task_id text COLLATE "C" NOT NULL,
    event_id uuid NOT NULL,
    -- Time that the line is filed under: the same whenever the event is told again.
    at timestamptz NOT NULL,
    run integer NOT NULL,
    rescue integer NOT NULL,
    executions integer NOT NULL,
    deliveries integer NOT NULL,
    tries integer NOT NULL,
    kind text COLLATE "C" NOT NULL
        CONSTRAINT task_event_kind_known CHECK (kind IN (
            'PENDING', 'UNROUTABLE', 'REJECTED', 'RECEIVED', 'STARTED',
            'PROGRESS', 'RETRY', 'FAILURE', 'REVOKED', 'SUCCESS'
        )),
    worker text COLLATE "C",
    -- When it happened, by the reporter's clock.
    happened_at timestamptz NOT NULL,
    detail jsonb,
    -- One index for both questions: is this event known, and what happened to this task.
    PRIMARY KEY (task_id, event_id, at)
) PARTITION BY RANGE (at);

-- Whatever falls into no month that has been prepared.
CREATE TABLE task_event_default PARTITION OF task_event DEFAULT;

CREATE TABLE task_log (
    task_id text COLLATE "C" NOT NULL,
    event_id uuid NOT NULL,
    run integer NOT NULL,
    rescue integer NOT NULL,
    executions integer NOT NULL,
    deliveries integer NOT NULL,
    level text COLLATE "C" NOT NULL,
    message text NOT NULL,
    fields jsonb,
    worker text COLLATE "C",
    happened_at timestamptz NOT NULL,
    PRIMARY KEY (task_id, event_id)
);

-- Makes the partitions of this month and the coming ones. With the rights of its owner, so that
-- the daemon needs none to change the schema.
CREATE FUNCTION counterfoil_prepare_months(coming integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    first date := date_trunc('month', now() AT TIME ZONE 'UTC');
    lower_bound timestamptz;
    upper_bound timestamptz;
    partition_name text;
    made integer := 0;
BEGIN
    -- One at a time: two daemons may start together.
    PERFORM pg_advisory_xact_lock(hashtextextended('counterfoil.months.' || current_schema(), 0));
    FOR ahead IN 0..least(coming, 24) LOOP
        lower_bound := (first + make_interval(months => ahead)) AT TIME ZONE 'UTC';
        upper_bound := (first + make_interval(months => ahead + 1)) AT TIME ZONE 'UTC';
        partition_name := 'task_event_' || to_char(first + make_interval(months => ahead), 'YYYYMM');
        CONTINUE WHEN to_regclass(partition_name) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE task_event INCLUDING ALL)', partition_name);
        -- Lines that came before their month was prepared would keep it from being attached.
        LOCK TABLE task_event IN SHARE ROW EXCLUSIVE MODE;
        EXECUTE format(
            'WITH moved AS (DELETE FROM task_event_default WHERE at >= %L AND at < %L RETURNING *)
             INSERT INTO %I SELECT * FROM moved',
            lower_bound, upper_bound, partition_name
        );
        EXECUTE format(
            'ALTER TABLE task_event ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            partition_name, lower_bound, upper_bound
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- Drops the partitions of months that are over by more than a week and of which no line is left. What must
-- wait for a lock gives up at once: meanwhile everybody who writes history would wait behind it. With the
-- rights of its owner, too.
CREATE FUNCTION counterfoil_drop_empty_months() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '200ms' AS $$
DECLARE
    month regclass;
    is_empty boolean;
    dropped integer := 0;
BEGIN
    FOR month IN
        SELECT inhrelid FROM pg_inherits
        JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'task_event'::regclass AND relname ~ '^task_event_[0-9]{6}$'
            AND to_date(right(relname, 6), 'YYYYMM') + interval '1 month 7 days' < now()
        ORDER BY relname
    LOOP
        -- Without a lock first: mostly there is something.
        EXECUTE format('SELECT NOT EXISTS (SELECT 1 FROM %s)', month) INTO is_empty;
        CONTINUE WHEN NOT is_empty;
        BEGIN
            EXECUTE format('LOCK TABLE %s IN SHARE MODE', month);
            EXECUTE format('SELECT NOT EXISTS (SELECT 1 FROM %s)', month) INTO is_empty;
            IF is_empty THEN
                EXECUTE format('DROP TABLE %s', month);
                dropped := dropped + 1;
            END IF;
        EXCEPTION WHEN lock_not_available THEN
            EXIT;
        END;
    END LOOP;
    RETURN dropped;
END
$$;

-- Whoever calls them cannot put a table of their own in the way of those that they mean.
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION counterfoil_prepare_months(integer) SET search_path = %I, pg_temp',
        current_schema()
    );
    EXECUTE format(
        'ALTER FUNCTION counterfoil_drop_empty_months() SET search_path = %I, pg_temp',
        current_schema()
    );
END
$$;
