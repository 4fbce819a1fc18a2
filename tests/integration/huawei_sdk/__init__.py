"""The vendor's own SDK (huaweicloudsdkvpcep) against a live server: every method, every member of its models.

The SDK leaves a file with an id in the home directory of whoever imports it. Here that is a directory of its own.
"""

import importlib
import os
import tempfile

_HOME = os.environ.get("HOME")
with tempfile.TemporaryDirectory() as _directory:
    os.environ["HOME"] = _directory
    try:
        importlib.import_module("huaweicloudsdkcore.http.user_agent")
    finally:
        if _HOME is None:
            del os.environ["HOME"]
        else:
            os.environ["HOME"] = _HOME
