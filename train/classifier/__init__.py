"""Fit and judge the classifier of ``discovery.classifier``."""
