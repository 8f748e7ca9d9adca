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

-- Whoever calls it cannot put a table of their own in the way of those that it means.
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION counterfoil_prepare_months(integer) SET search_path = %I, pg_temp',
        current_schema()
    );
END
$$;
