"""A client of the VPCEP API, for the command line: the same wire as everybody's."""
