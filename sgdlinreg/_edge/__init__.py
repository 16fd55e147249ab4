"""Between users and solvers: what users pass is checked and brought to arrays, results go back."""
