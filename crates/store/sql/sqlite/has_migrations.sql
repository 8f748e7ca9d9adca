-- Whether any migration was ever applied.
SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = 'counterfoil_migrations'
