"""Put the parts together: the only room where parts meet.

Nothing is imported here, so that `landbridge lab down` need not load a web server.
"""
