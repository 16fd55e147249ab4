"""From where the steps end to the optimum, by full gradients."""
