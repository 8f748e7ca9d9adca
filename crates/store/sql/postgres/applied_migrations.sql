-- Versions of the migrations that were applied.
SELECT version FROM counterfoil_migrations WHERE success
