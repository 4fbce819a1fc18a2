"""A VPC Endpoint service that anybody can run."""
