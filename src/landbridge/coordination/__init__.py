"""Let several processes of one installation act as one: who leads, and hints from one to the others."""
