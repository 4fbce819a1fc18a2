"""What VPCs, subnets and NICs exist: adapters."""
