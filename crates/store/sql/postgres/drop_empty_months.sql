-- Drops the months of history of which nothing is left, and tells how many those were.
SELECT counterfoil_drop_empty_months()
