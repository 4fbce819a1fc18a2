"""What all tests need: the system's own tools, which ordinary users' PATH leaves out (nft, ethtool)."""

import os

os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"
