-- Whether any migration was ever applied.
SELECT to_regclass('counterfoil_migrations') IS NOT NULL
