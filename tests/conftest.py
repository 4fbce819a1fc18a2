"""What all tests need: the system's own tools, which ordinary users' PATH leaves out (nft, ethtool)."""

import os

from tests.keystone import keystone

__all__ = ["keystone"]

os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"
