-- Makes the partitions of history for this month and the coming ones.
-- Parameters: 1 how many months ahead.
SELECT counterfoil_prepare_months($1)
