"""The kernel that numba compiles for the CPU."""
