"""How operations run: graphql-core's executor, with subtrees that are only attributes completed by compiled functions."""
