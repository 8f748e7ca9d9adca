-- There is one writer at a time anyway.
-- Parameters: 1 session ids, a JSON array of texts.
SELECT 1 WHERE ?1 IS NULL
