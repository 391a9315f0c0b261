"""The service under load, beside a deployment that does nothing."""
