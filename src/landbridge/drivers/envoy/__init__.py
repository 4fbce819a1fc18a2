"""Carry connections through Envoy, so that backends read the client's address in a PROXY protocol header."""
