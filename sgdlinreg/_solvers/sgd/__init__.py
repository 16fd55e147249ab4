"""Mini-batch stochastic gradient descent."""
