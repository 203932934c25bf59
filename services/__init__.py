"""Use-cases and integrations: who may, what it costs, what upstream says. Knows no GraphQL, no HTTP in, no SQL."""
