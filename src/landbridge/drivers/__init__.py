"""Data planes: each is a pure translator and thin modules with effects."""
