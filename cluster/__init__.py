"""The ground the service stands on: settings, Ray's start-up, the catalog of jobs and specifications."""
