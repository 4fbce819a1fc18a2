"""Keep the flow log: files with one line of JSON for each connection that ended."""
