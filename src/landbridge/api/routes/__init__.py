"""One module per kind of resource; a route reads, asks a use case, and writes the answer."""
