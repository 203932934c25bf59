"""The verifier behind us, as the service sees it: a protocol, and the client that speaks it over HTTP."""
