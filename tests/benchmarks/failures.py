"""Say why there is nothing to measure."""


class BenchmarkBroken(Exception):
    """Something did not work, so the run ends."""


class NotCarried(Exception):
    """This server does not carry a mode, as the message says; the rest of the run goes on."""
