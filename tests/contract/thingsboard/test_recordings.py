"""No recording is forgotten: each is reproduced by a test of this suite, or named here with the reason why not."""

from __future__ import annotations

import importlib
from pathlib import Path

from tests.contract.thingsboard.recordings import FOLDER, REPRODUCED, recorded

EXPLAINED = {
    "ws-alarm-subscription": "the bot opens no WebSocket: the view is no event log, reconciliation is by REST",
}


def test_every_recording_is_reproduced_or_explained() -> None:
    for module in sorted(Path(__file__).parent.glob("test_*.py")):
        importlib.import_module(f"{__package__}.{module.stem}")
    names = {path.stem for path in FOLDER.glob("*.json")}
    assert names - REPRODUCED.keys() - EXPLAINED.keys() == set()
    assert REPRODUCED.keys() & EXPLAINED.keys() == set()
    assert (REPRODUCED.keys() | EXPLAINED.keys()) - names == set()


def test_every_recorded_answer_left_out_exists() -> None:
    from tests.contract.thingsboard.test_rest import NOT_IMITATED

    assert NOT_IMITATED.keys() <= {entry["name"] for entry in recorded("rest-answers")}
