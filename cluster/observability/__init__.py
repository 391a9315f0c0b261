"""What can be seen of a running service: metrics, traces and logs."""
