"""`make fuzz`: every target for FUZZ_S seconds (600), two at a time; a report, and one line of JSON at the end."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

PROGRESS = re.compile(r"#(?P<runs>\d+)\t.*?cov: (?P<cov>\d+) ft: (?P<ft>\d+) corp: (?P<corp>\d+)")
FINAL = re.compile(r"stat::(?P<name>\w+):\s+(?P<value>\d+)")
FAULT = re.compile(r"^ === Uncaught Python exception: ===$|^==\d+== ?ERROR: libFuzzer: (?P<kind>.*)$", re.MULTILINE)
EVERY_S = 30


@dataclass(slots=True)
class Result:
    """What became of one target."""

    target: str
    executions: int = 0
    coverage: int = 0
    features: int = 0
    corpus: int = 0
    peak_mib: int = 0
    seconds: float = 0.0
    finding: str = ""
    """What came out that should not; empty = nothing."""
    artifact: str = ""


def main() -> int:
    """Run, tell how it goes, and write the report."""
    asked = argparse.ArgumentParser(prog="make fuzz")
    asked.add_argument("targets", nargs="*")
    asked.add_argument("--seconds", type=int, default=600)
    asked.add_argument("--at-once", type=int, default=2)
    asked.add_argument("--out", type=Path, default=Path("out/fuzz"))
    given = asked.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    names = given.targets or _targets()
    results: list[Result] = []

    def one(name: str) -> None:
        results.append(_fuzz(name, given.seconds, given.out.resolve()))
        told = sorted(results, key=lambda one: names.index(one.target))
        (given.out / "report.md").write_text(_report(told), encoding="utf-8")
        (given.out / "report.json").write_text(json.dumps([asdict(each) for each in told], indent=1), encoding="utf-8")

    with ThreadPoolExecutor(given.at_once) as pool:
        list(pool.map(one, names))
    print(_report(results), file=sys.stderr)
    print(json.dumps(_summary(results)))
    return 1 if any(one.finding for one in results) else 0


def _targets() -> list[str]:
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415  it takes seconds, and a name may have been given

    return list(TARGETS)


def _fuzz(name: str, seconds: int, out: Path) -> Result:
    result = Result(target=name)
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sunward-corpus-") as corpus:
        command = [sys.executable, "-m", "tests.fuzz.child", name, corpus, str(seconds), str(out)]
        child = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
        )
        tail = _follow(child, result)
        status = child.wait()
    result.seconds = round(time.monotonic() - began_s, 1)
    if status:
        (out / f"{name}.log").write_text(tail, encoding="utf-8")
        found = re.search(r"^\w*(?:Error|Exception|Warning|Interrupt).*$", tail, re.MULTILINE) or FAULT.search(tail)
        result.finding = found.group(0)[:200] if found else f"it ended with status {status}"
        artifact = re.search(r"Test unit written to (\S+)", tail)
        result.artifact = artifact.group(1) if artifact else ""
    _say(f"{name}: {_line(result)}")
    return result


def _follow(child: subprocess.Popen[str], result: Result) -> str:
    """Read what libFuzzer says until it ends. Returns the last of it."""
    kept: list[str] = []
    said_s = time.monotonic()
    for line in child.stderr or ():
        kept = [*kept[-400:], line]
        if progress := PROGRESS.search(line):
            result.executions, result.coverage = int(progress["runs"]), int(progress["cov"])
            result.features, result.corpus = int(progress["ft"]), int(progress["corp"])
        if final := FINAL.search(line):
            if final["name"] == "number_of_executed_units":
                result.executions = int(final["value"])
            elif final["name"] == "peak_rss_mb":
                result.peak_mib = int(final["value"])
        if time.monotonic() - said_s > EVERY_S:
            said_s = time.monotonic()
            _say(f"{result.target}: {_line(result)}")
    return "".join(kept)


def _line(one: Result) -> str:
    state = f"FOUND {one.finding}" if one.finding else "nothing found"
    return f"{one.executions} executions, coverage {one.coverage}, corpus {one.corpus}, {state}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _report(results: list[Result]) -> str:
    head = "| target | seconds | executions | coverage (edges) | features | corpus | peak MiB | found |\n"
    rows = "".join(
        f"| {one.target} | {one.seconds:.0f} | {one.executions} | {one.coverage} | {one.features} | {one.corpus} "
        f"| {one.peak_mib} | {one.finding or 'nothing'} |\n"
        for one in results
    )
    return head + "|---" * 8 + "|\n" + rows


def _summary(results: list[Result]) -> dict[str, object]:
    return {
        "targets": len(results),
        "executions": sum(one.executions for one in results),
        "seconds_each": min(one.seconds for one in results),
        "findings": {one.target: one.finding for one in results if one.finding},
    }


if __name__ == "__main__":
    raise SystemExit(main())
