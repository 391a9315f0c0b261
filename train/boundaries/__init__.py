"""Fit the boundary network of ``discovery.boundaries`` on simulated protocols."""
