-- The user, where it may only ask: nobody, for SQLite has no users.
SELECT '' WHERE false
