"""Use-cases and integrations, without GraphQL."""
