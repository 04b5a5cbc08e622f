from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from sunward.agent.outbox import Head, Outbox
from sunward.errors import InvariantError
from sunward.metering.wire import batch_hash
from sunward.model.wire import ReadingsHead

WRITER = """
    import sys
    from pathlib import Path
    from sunward.agent.outbox import Outbox
    outbox = Outbox(Path(sys.argv[1]))
    while True:
        number = outbox.head().counter + 1
        head = outbox.append(b"batch %d" % number, number, number * 60_000, {"gpu-0": number * 10})
        print(head.counter, flush=True)
"""


def test_batches_wait_in_order_until_they_are_acknowledged(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    assert outbox.head() == Head()
    for number in (1, 2, 3):
        outbox.append(b"batch %d" % number, number, number * 60_000, {"gpu-0": number})
    assert outbox.unsent(2) == ((1, b"batch 1"), (2, b"batch 2"))
    outbox.acknowledge(2)
    outbox.acknowledge(1)
    assert outbox.unsent(9) == ((3, b"batch 3"),)
    outbox.acknowledge(3)
    assert outbox.unsent(9) == ()
    assert outbox.head() == Head(counter=3, hash=batch_hash(b"batch 3"), t1_ms=180_000, counters_j={"gpu-0": 3})
    outbox.close()


def test_what_was_held_once_can_be_sent_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("sunward.agent.outbox.KEPT_BATCHES", 3)
    outbox = Outbox(tmp_path / "outbox.db")
    for number in range(1, 8):
        outbox.append(b"batch %d" % number, number, number, {})
    outbox.acknowledge(6)
    assert outbox.unsent(9) == ((7, b"batch 7"),)
    assert not outbox.rewind(2), "too old: dropped"
    assert outbox.unsent(9) == ((7, b"batch 7"),)
    assert outbox.rewind(4)
    assert [number for number, _ in outbox.unsent(9)] == [5, 6, 7]
    outbox.acknowledge(7)
    assert not outbox.rewind(7)
    outbox.close()
    again = Outbox(tmp_path / "outbox.db")
    assert again.unsent(9) == ()
    again.close()


def test_the_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    first = Outbox(tmp_path / "outbox.db")
    first.append(b"one", 1, 5, {"gpu-0": 7, "host": 2})
    first.acknowledge(1)
    first.close()
    again = Outbox(tmp_path / "outbox.db")
    assert again.head().counters_j == {"gpu-0": 7, "host": 2}
    again.append(b"two", 2, 6, {"gpu-0": 8})
    # A counter that is not read this time keeps its durable figure.
    assert again.head().counters_j == {"gpu-0": 8, "host": 2}
    again.close()


def test_a_number_is_never_used_twice_or_left_out(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db")
    outbox.append(b"one", 1, 5, {})
    for wrong in (1, 3):
        with pytest.raises(InvariantError):
            outbox.append(b"other", wrong, 6, {})
    assert outbox.unsent(9) == ((1, b"one"),)
    outbox.close()


def test_what_was_appended_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            seen = [int(next(writer.stdout)) for _ in range(20)]
            writer.kill()
            seen += [int(line) for line in writer.stdout if line.endswith("\n")]
        outbox = Outbox(path)
        kept = outbox.unsent(1_000_000)
        assert [number for number, _ in kept] == list(range(1, outbox.head().counter + 1))
        assert outbox.head().counter >= seen[-1]
        assert outbox.head().hash == batch_hash(kept[-1][1])
        outbox.close()


def test_a_chain_goes_on_from_what_the_control_plane_holds(tmp_path):
    outbox = Outbox(tmp_path / "outbox.db")
    outbox.append(b"signed by a lost key", 1, 60_000, {"gpu0": 5})
    outbox.adopt(ReadingsHead(counter=7, hash="ab" * 32, t1_ms=120_000))
    assert outbox.unsent(10) == ()
    assert outbox.head() == Head(counter=7, hash="ab" * 32, t1_ms=120_000, counters_j={"gpu0": 5})
    outbox.append(b"signed by the new one", 8, 180_000, {"gpu0": 9})
    assert outbox.unsent(10) == ((8, b"signed by the new one"),)
    outbox.close()
