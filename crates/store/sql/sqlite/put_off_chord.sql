-- Lets other chords go before one that could not be told of: for half a minute nobody looks after it.
-- Parameters: 1 id of the chord.
UPDATE chord SET put_off_until = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '30 seconds') WHERE id = ?1
