"""The one loop over passes and blocks."""
