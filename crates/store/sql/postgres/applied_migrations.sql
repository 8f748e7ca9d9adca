-- Migrations that were applied, and the checksums of their texts.
SELECT version, checksum FROM counterfoil_migrations WHERE success
