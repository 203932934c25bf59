"""The REST contract (openapi.yaml) over the store. Knows HTTP and the engine for single addresses, knows no SQL."""
