"""Carries one attempt's files to and from the control plane: blocking work, done beside the agent's loop.

The checkpoint contract (docs/job-contract.md): `checkpoint/UNITS` holds the units of work that the checkpoint
stands for. The job writes it last, and removes it before it changes more than one file. A checkpoint is complete
when UNITS is there and did not change while the folder was packed; only a complete one is ever stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from sunward.adapters.embedded import read_units
from sunward.agent import archive
from sunward.agent.environment import Environments
from sunward.agent.inputs import Inputs
from sunward.model.site import LeaseOrder
from sunward.model.wire import JobContent

UNITS = "UNITS"
LOG_PART_BYTES = 1 << 18
"""Most bytes of a log sent in one request."""
LOG_BYTES_MAX = 64 << 20
"""A log that grows longer is cut: the job's output belongs in its output folder."""


class Plane(Protocol):
    """The part of the control plane's client that an attempt's files need."""

    def fetch_content(self, lease: str) -> JobContent:
        """Command and environment."""

    def fetch_secrets(self, lease: str) -> dict[str, str]:
        """Secrets, to be given to the job and kept nowhere."""

    def fetch_object(self, digest: str, target: Path) -> None:
        """Download stored bytes."""

    def put_checkpoint(self, lease: str, units: int, archive: Path) -> str:
        """Store a checkpoint; its digest."""

    def put_output(self, lease: str, archive: Path) -> str:
        """Store the results; their digest."""

    def append_log(self, lease: str, offset: int, text: bytes) -> None:
        """Add to the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What of an attempt is safe at the control plane."""

    log_bytes: int = 0
    checkpoint_units: int = 0
    checkpoint: str = ""
    marker: tuple[int, ...] = ()
    """Which write of UNITS the stored checkpoint belongs to."""
    output: str = ""
    checkpoint_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """All that an attempt starts from."""

    content: JobContent
    stored: Stored
    secrets: Mapping[str, str] = field(repr=False)
    environment: Path | None


class Courier:
    """Moves files; keeps no state of its own, so a move that failed is simply made again."""

    def __init__(self, plane: Plane, environments: Environments, inputs: Inputs) -> None:
        self._plane = plane
        self._environments = environments
        self._inputs = inputs

    def prepare(self, order: LeaseOrder, folder: Path) -> Prepared:
        """Fetch and build all that an attempt starts from; what is restored counts as stored."""
        content = self._plane.fetch_content(order.lease)
        secrets = self._plane.fetch_secrets(order.lease)
        environment = self._environments.prepare(content.setup, order.lease)
        sizes: dict[str, int] = {}
        for digest, name in ((order.bundle, "work"), (order.checkpoint, "checkpoint")):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            if digest:
                packed = folder / f"{name}.tar"
                self._plane.fetch_object(digest, packed)
                sizes[name] = packed.stat().st_size
                archive.unpack(packed, folder / name)
                packed.unlink()
        self._inputs.place(content.inputs, {**content.env, **secrets}, folder / "work", order.lease)
        marker, _ = _marker(folder)
        stored = Stored(
            checkpoint_units=order.checkpoint_units,
            checkpoint=order.checkpoint,
            marker=marker,
            checkpoint_bytes=sizes.get("checkpoint", 0),
        )
        return Prepared(content=content, stored=stored, secrets=secrets, environment=environment)

    def release(self, lease: str) -> None:
        """Note that an attempt needs nothing any more that is kept for several."""
        self._environments.release(lease)
        self._inputs.release(lease)

    def save(self, lease: str, folder: Path, stored: Stored, *, checkpoint: bool) -> Stored:
        """Store what is new of the log, and of the checkpoint where asked and complete."""
        stored = self._save_log(lease, folder, stored)
        return self._save_checkpoint(lease, folder, stored) if checkpoint else stored

    def save_output(self, lease: str, folder: Path, stored: Stored, outputs: tuple[str, ...]) -> Stored:
        """Store the results of an attempt that ended by itself; where there are none nothing is stored."""
        if stored.output or (archive.is_empty(folder / "output") and not outputs):
            return stored
        packed = folder / "output.tar"
        (folder / "output").mkdir(exist_ok=True)
        # Whoever fetches results unpacks plain files only, so that no link leads out of the tenant's folder.
        archive.pack(folder / "output", packed, links=False, beside=folder / "work", named=outputs)
        if archive.holds_nothing(packed):
            packed.unlink()
            return stored
        digest = self._plane.put_output(lease, packed)
        packed.unlink()
        return replace(stored, output=digest)

    def _save_log(self, lease: str, folder: Path, stored: Stored) -> Stored:
        path = folder / "log"
        if not path.is_file():
            return stored
        with path.open("rb") as log:
            log.seek(stored.log_bytes)
            while stored.log_bytes < LOG_BYTES_MAX and (part := log.read(LOG_PART_BYTES)):
                self._plane.append_log(lease, stored.log_bytes, part)
                stored = replace(stored, log_bytes=stored.log_bytes + len(part))
        return stored

    def _save_checkpoint(self, lease: str, folder: Path, stored: Stored) -> Stored:
        marker, units = _marker(folder)
        if not marker or marker == stored.marker or units < stored.checkpoint_units:
            return stored
        packed = folder / "checkpoint.tar"
        archive.pack(folder / "checkpoint", packed)
        if _marker(folder) != (marker, units):
            # The job was writing: this copy is worth nothing, and the next look finds a whole one.
            packed.unlink()
            return stored
        digest, size = self._plane.put_checkpoint(lease, units, packed), packed.stat().st_size
        packed.unlink()
        return replace(stored, checkpoint_units=units, checkpoint=digest, marker=marker, checkpoint_bytes=size)


def _marker(folder: Path) -> tuple[tuple[int, ...], int]:
    """Which write of UNITS is there now, and the units it tells; an empty marker when there is none."""
    path = folder / "checkpoint" / UNITS
    units = read_units(path)
    if units is None:
        return (), 0
    try:
        status = path.lstat()
    except OSError:
        return (), 0
    return (status.st_ino, status.st_mtime_ns, status.st_size), units
