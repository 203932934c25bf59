"""The HTTP edge of GraphQL, by real requests against a small schema of its own."""
