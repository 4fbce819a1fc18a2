"""Say who is asking: adapters of `control.protocols.Identity`."""
