-- Types of the finalizers of all sessions, in alphabetical order.
SELECT DISTINCT finalizer_type FROM session ORDER BY finalizer_type
