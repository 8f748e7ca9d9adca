-- Removes a dead letter whose messages were all taken out of their dead queue.
-- Parameters: 1 id.
DELETE FROM dead WHERE id = ?1 AND times > 0 AND handled >= times
