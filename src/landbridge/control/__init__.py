"""Who may do what, and when: use cases and the loop. Effects come in through protocols."""
