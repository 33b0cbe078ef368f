#!/usr/bin/env python3
"""Creates a rollout that the bot can promote: hawkBit pauses after every group (success action PAUSE) until the bot has
verified the group on its devices and resumes. Prints the rollout's id. Python 3.9 or newer, nothing to install.

    export HAWKBIT_URL=https://hawkbit.example.com HAWKBIT_USER=ci HAWKBIT_PASSWORD_FILE=./ci-password
    hawkbit_rollout.py edge-1.2.0 edge 1.2.0 'attribute.tenant==customer-a' --start-after 30

HAWKBIT_USER must stand in promotion.owners of cdm.yaml and needs READ_ROLLOUT, READ_TARGET, READ_DISTRIBUTION_SET,
CREATE_ROLLOUT and, to start it, HANDLE_ROLLOUT. A set that was never used must be locked first, by an account with
UPDATE_DISTRIBUTION_SET. The rollout's name is unique, so a repeat makes no second one.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

READY_S = 120


def call(method: str, path: str, body: Any = None) -> Any:
    """hawkBit's answer; None for an empty one. Raises HTTPError for every answer that is no success."""
    login = f"{os.environ['HAWKBIT_USER']}:{Path(os.environ['HAWKBIT_PASSWORD_FILE']).read_text().strip()}"
    request = Request(  # noqa: S310 - the address is the caller's own
        os.environ["HAWKBIT_URL"].rstrip("/") + "/rest/v1" + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": "Basic " + base64.b64encode(login.encode()).decode(),
            "Content-Type": "application/json",
        },
    )
    with urlopen(request, timeout=30) as answer:  # noqa: S310
        content = answer.read()
    return json.loads(content) if content else None


def first(path: str, query: str) -> Any:
    """The first row that fits the query, None where there is none."""
    rows = call("GET", f"{path}?limit=1&q={quote(query)}")["content"]
    return rows[0] if rows else None


def group(number: int, percentage: float) -> Any:
    return {
        "name": f"group-{number}",
        "targetPercentage": percentage,
        "successCondition": {"condition": "THRESHOLD", "expression": "95"},
        "successAction": {"action": "PAUSE", "expression": ""},
        "errorCondition": {"condition": "THRESHOLD", "expression": "10"},
        "errorAction": {"action": "PAUSE", "expression": ""},
    }


def create(name: str, set_name: str, version: str, query: str, groups: list[float]) -> int:
    """The id of the rollout of that name, made if there is none, once it is ready."""
    found = first("/rollouts", f"name=={name}")
    if found is None:
        chosen = first("/distributionsets", f"name=={set_name};version=={version}")
        if chosen is None:
            raise LookupError(f"hawkBit has no set {set_name}:{version}")
        wanted = {
            "name": name,
            "distributionSetId": chosen["id"],
            "targetFilterQuery": query,
            "groups": [group(number, percentage) for number, percentage in enumerate(groups, 1)],
        }
        found = call("POST", "/rollouts", wanted)
    deadline = time.monotonic() + READY_S
    while call("GET", f"/rollouts/{found['id']}")["status"] == "creating":
        if time.monotonic() > deadline:
            raise TimeoutError(f"rollout {found['id']} is still being created after {READY_S} s")
        time.sleep(0.5)
    return int(found["id"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Create a hawkBit rollout that pauses after every group.")
    parser.add_argument("name")
    parser.add_argument("set_name")
    parser.add_argument("version")
    parser.add_argument("filter", help="which devices, as hawkBit's target filter")
    parser.add_argument("--groups", default="5,25,70", help="per cent of the devices, in their order")
    parser.add_argument("--start-after", type=float, metavar="SECONDS", help="the bot must have seen the devices first")
    given = parser.parse_args()
    try:
        groups = [float(part) for part in given.groups.split(",")]
        rollout = create(given.name, given.set_name, given.version, given.filter, groups)
        if given.start_after is not None and call("GET", f"/rollouts/{rollout}")["status"] == "ready":
            time.sleep(given.start_after)
            call("POST", f"/rollouts/{rollout}/start")
    except HTTPError as error:
        sys.exit(f"hawkBit answered {error.code}: {error.read().decode(errors='replace')[:500]}")
    except (LookupError, OSError) as error:
        sys.exit(str(error))
    sys.stdout.write(f"{rollout}\n")


if __name__ == "__main__":
    main()
