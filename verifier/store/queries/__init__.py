"""SQL by noun. Every function takes the connection or the pool that it may use."""
