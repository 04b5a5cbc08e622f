"""Compile the contracts, so that who deploys or calls them needs no compiler.

    python tools/build_contracts.py           write contracts/build
    python tools/build_contracts.py --check   say what is stale, change nothing, exit 1 if anything is

An artefact is the ABI and the bytecode, with the compiler's version and the hash of all sources it was made of.
"""

from __future__ import annotations

import argparse
import json
import sys
import sysconfig
from pathlib import Path
from typing import Any

from vyper import __version__ as vyper_version
from vyper.compiler import compile_from_file_input
from vyper.compiler.input_bundle import FilesystemInputBundle

ROOT = Path(__file__).resolve().parent.parent / "contracts"
SOURCES, BUILD = ROOT / "src", ROOT / "build"


def names() -> list[str]:
    """What is deployed: sources named like classes. The others are modules of these."""
    return sorted(path.stem for path in SOURCES.glob("[A-Z]*.vy"))


def compiled(name: str, *formats: str) -> dict[str, Any]:
    """What the compiler makes of one contract."""
    bundle = FilesystemInputBundle([Path(sysconfig.get_path("purelib")), SOURCES])
    made: dict[str, Any] = compile_from_file_input(
        bundle.load_file(f"{name}.vy"), input_bundle=bundle, output_formats=list(formats)
    )
    return made


def artefact(name: str) -> str:
    """The file that should lie in contracts/build."""
    made = compiled(name, "abi", "bytecode", "bytecode_runtime", "integrity")
    record = {
        "contract": name,
        "compiler": f"vyper {vyper_version}",
        "sources_sha256": made["integrity"],
        "abi": made["abi"],
        "bytecode": made["bytecode"],
        "bytecode_runtime": made["bytecode_runtime"],
    }
    return json.dumps(record, indent=1) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 if a file is stale")
    check = parser.parse_args().check
    wanted = {f"{name}.json": artefact(name) for name in names()}
    present = {path.name: path.read_text() for path in BUILD.glob("*.json")}
    stale = sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))
    for name in stale:
        print(f"{'stale' if check else 'written'}: contracts/build/{name}", file=sys.stderr)
    if not check:
        BUILD.mkdir(exist_ok=True)
        for name in stale:
            if name in wanted:
                (BUILD / name).write_text(wanted[name])
            else:
                (BUILD / name).unlink()
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
