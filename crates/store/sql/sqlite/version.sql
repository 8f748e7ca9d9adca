-- The library's version.
SELECT sqlite_version()
