-- Forgets all markers.
DELETE FROM marker
