-- Writes, to see whether the database can be written.
INSERT INTO probe (only_one, at) VALUES (true, now())
ON CONFLICT (only_one) DO UPDATE SET at = excluded.at
