"""Carry bindings by the Linux kernel: network namespaces, nftables, veth pairs, routes."""
