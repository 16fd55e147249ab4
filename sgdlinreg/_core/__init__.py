"""What all other code stands on: rows in memory, the objective, statistics of columns, and the contract of solvers."""
