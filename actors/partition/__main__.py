"""
The partition campaign: faults on the network of three Ray nodes, and one line of counts at the end.

    python -m qbitel.actors.partition [--faults cut ...] [--defaults] [--without epoch|keys]

Root, iproute2, nftables, PostgreSQL, Redis and the extra [dev] are needed. Exit code 1 where a message was lost or
doubled, no stale writer was fenced off, or something came back too late; 2 where this machine does not let it run.
``--defaults`` keeps Ray's own health checks, which no limit is held against. ``--without`` takes a guard of the catalog
away, to see the campaign report it.
"""

from __future__ import annotations

import argparse
import sys

from ...discovery.errors import QbitelError
from .campaign import Campaign, Partitions
from .machines import TUNED, machines

# Seconds within which senders on the other hosts are served again.
LIMITS = {"actor killed": 15, "cut": 30, "one-way cut": 30, "30 % loss": 30, "head killed": 60, "head cut": 60}


def late(found: Partitions) -> list[str]:
    """Return the faults after which it took too long."""
    return [fault.name for fault in found.faults if fault.recovery_s > LIMITS[fault.name]]


def main() -> int:
    """Run the campaign."""
    parser = argparse.ArgumentParser(prog="python -m qbitel.actors.partition", description="Cuts Ray's network.")
    parser.add_argument("--faults", nargs="+", choices=LIMITS, default=list(LIMITS), metavar="FAULT")
    parser.add_argument("--defaults", action="store_true")
    parser.add_argument("--without", choices=("epoch", "keys"))
    arguments = parser.parse_args()
    faults = []
    try:
        with machines({} if arguments.defaults else TUNED) as there:
            campaign = Campaign(there, arguments.without)
            campaign.begin()
            for name in arguments.faults:
                faults.append(campaign.fault(name))  # what does not recover shows in its time, and in those after it
                sys.stdout.write(f"{faults[-1]}\n")
                sys.stdout.flush()
            found = campaign.end(faults)
    except QbitelError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    missed = [] if arguments.defaults else late(found)
    sys.stdout.write(f"{found}{'; too late: ' + ', '.join(missed) if missed else ''}\n")
    return 0 if found.found.sound and found.fenced and not missed else 1


if __name__ == "__main__":
    sys.exit(main())
