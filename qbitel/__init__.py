"""The protocol discovery engine: unknown traffic in, a specification, a running parser and a service out."""
