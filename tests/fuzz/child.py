"""One target in a process of its own: `python -m tests.fuzz.child TARGET CORPUS_DIR SECONDS FINDINGS_DIR`.

Under libFuzzer (atheris), which keeps what reaches new code; where there is no atheris, changed seeds alone.
"""

from __future__ import annotations

import importlib.util
import random
import resource
import sys
import time
import warnings
from pathlib import Path

from tests.fuzz.mutate import mutated

MEMORY_MIB = 2_048
"""Beyond it a message of at most 64 KiB has blown up."""
HANG_S = 25
"""Far beyond what any message takes, also on a machine that is busy with other work."""
LENGTH_MAX = 65_536
FILE_BYTES_MAX = 64 << 20
SEED = 20260611
WATCHED = ["sunward", "tomllib", "yaml", "openadr3", "tarfile"]
"""Whose branches are counted."""


def main() -> None:
    """Fuzz until the time is over, or until something comes out that should not."""
    name, corpus, seconds, findings = sys.argv[1:]
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, FILE_BYTES_MAX))
    if importlib.util.find_spec("atheris"):
        _guided(name, Path(corpus), int(seconds), findings)
    else:
        _plain(name, int(seconds), Path(findings))


def _guided(name: str, corpus: Path, seconds: int, findings: str) -> None:
    import atheris  # noqa: PLC0415  it is not on every machine

    with atheris.instrument_imports(include=WATCHED, enable_loader_override=False):
        from tests.fuzz import targets  # noqa: PLC0415  what is counted must be loaded under its eyes
    for number, seed in enumerate(targets.TARGETS[name].seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-rss_limit_mb={MEMORY_MIB}",
        f"-timeout={HANG_S}",
        f"-max_len={LENGTH_MAX}",
        f"-artifact_prefix={findings}/{name}-",
        "-print_final_stats=1",
        f"-seed={SEED}",
        str(corpus),
    ]

    def change(data: bytes, length_max: int, seed: int) -> bytes:
        # Not through `atheris.Mutate`: with it the process died in malloc twice, after some 10^5 calls.
        return mutated(data, random.Random(seed))[:length_max]

    def take(data: bytes) -> None:
        targets.attempt(name, data)

    atheris.Setup(arguments, take, custom_mutator=change)
    atheris.Fuzz()


def _plain(name: str, seconds: int, findings: Path) -> None:
    from tests.fuzz import targets  # noqa: PLC0415  as above

    seeds, draw, until_s = targets.TARGETS[name].seeds(), random.Random(SEED), time.monotonic() + seconds
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MIB << 20, MEMORY_MIB << 20))
    runs = 0
    while time.monotonic() < until_s:
        data = mutated(draw.choice(seeds), draw)[:LENGTH_MAX]
        runs += 1
        try:
            targets.attempt(name, data)
        except BaseException:
            kept = findings / f"{name}-crash"
            kept.write_bytes(data)
            print(f"Test unit written to {kept}", file=sys.stderr)
            raise
    print(f"stat::number_of_executed_units: {runs}", file=sys.stderr)


main()
