-- The user, where it may not record that tasks were sent again and what was taken out of dead queues.
SELECT current_user::text
FROM (VALUES
    ('background_task', 'SELECT'), ('background_task', 'INSERT'), ('background_task', 'UPDATE'),
    ('task_event', 'SELECT'), ('task_event', 'INSERT'),
    ('dead', 'SELECT'), ('dead', 'INSERT'), ('dead', 'UPDATE'), ('dead', 'DELETE'),
    ('task_change', 'INSERT'), ('task_rollup_delta', 'INSERT')
) AS needed (name, privilege)
WHERE NOT has_table_privilege(name, privilege)
LIMIT 1
