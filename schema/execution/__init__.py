"""How operations run: graphql-core's executor, which leaves what is only attributes to compiled functions."""
