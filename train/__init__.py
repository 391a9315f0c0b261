"""Simulated protocols, fitting of what inference ships, and its evaluation."""
