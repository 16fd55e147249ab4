"""The kernel in torch and Triton, for any device."""
