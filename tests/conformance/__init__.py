"""One suite for all data-plane drivers: what passes, and that nothing else does."""
