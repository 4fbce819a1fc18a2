"""Soak for as long as asked: `python -m tests.soak --seconds 600`. Exit status 1: something was lost or wrong."""

import argparse
import logging
import sys
import time

from tests.soak.ground import Database
from tests.soak.soaking import soak


def main() -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="of load in all, divided by the databases")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of what is asked and killed")
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    arguments = parser.parse_args()
    # It would tell of each connection that a kill breaks.
    logging.disable(logging.ERROR)
    databases: list[Database] = ["sqlite", "postgresql"] if arguments.database == "both" else [arguments.database]
    is_well = True
    for database in databases:
        summary = soak(database, arguments.seconds / len(databases), arguments.seed)
        print(summary, *summary.wrong, sep="\n", flush=True)
        is_well = is_well and not summary.wrong
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
