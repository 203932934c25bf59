"""The worker of the service, by subject."""
