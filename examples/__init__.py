"""Example captures, the scripts that make them, and the demonstration."""
