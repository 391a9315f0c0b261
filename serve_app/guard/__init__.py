"""What stands between a stranger and the service: who asks, what they may do, how often, and what is recorded of it."""
