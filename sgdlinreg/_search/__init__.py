"""The choice of penalties and other parameters by cross-validation."""
