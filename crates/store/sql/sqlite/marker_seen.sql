-- Whether a marker was seen everywhere.
-- Parameters: 1 its id.
SELECT tracking AND events AND heartbeats FROM marker WHERE id = ?1
