"""The HTTP and WebSocket edge of GraphQL: negotiates, authenticates, refuses, executes, streams."""
