"""What is true about endpoint services and endpoints. Pure: no I/O, clock, framework or driver."""
