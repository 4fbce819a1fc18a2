"""What happens to a request before the API sees it: TLS, proxies in front, and how long a client may take."""
