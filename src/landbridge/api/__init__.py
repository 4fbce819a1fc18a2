"""The REST adapter: the VPCEP API v1 and the built-in identity's /v3, on one host and port."""
