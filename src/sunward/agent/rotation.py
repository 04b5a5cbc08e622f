"""A new key for a site: signed for by the old one, taken by the control plane, and only then put in place.

The next key lies beside the present one until the control plane has answered. After a crash the same question is asked
again: the key is the same, no batch was signed meanwhile, and asking twice changes nothing.
"""

from __future__ import annotations

from pathlib import Path

from sunward.agent.client import ControlPlane
from sunward.agent.identity import KEY_FILE, NEXT_FILE, load_key, public_key
from sunward.agent.outbox import Outbox
from sunward.model.site import key_bytes
from sunward.model.site_views import KeyRequest, KeyTaken

OUTBOX_FILE = "outbox.db"


def rotate(folder: Path, site: str, plane: ControlPlane) -> KeyTaken:
    """Give the site a new key; whoever calls holds the folder, so that nothing is signed meanwhile.

    Raises: SourceError when nobody answers, InputError and ConflictError when it is refused; the old key stays then.
    """
    old, new = load_key(folder), load_key(folder, NEXT_FILE)
    outbox = Outbox(folder / OUTBOX_FILE)
    try:
        first = outbox.head().counter + 1
    finally:
        outbox.close()
    told = key_bytes(site, public_key(old), public_key(new), first)
    wanted = KeyRequest(public_key=public_key(new), from_counter=first, signature=old.sign(told).hex())
    taken = plane.rotate_key(wanted)
    (folder / NEXT_FILE).replace(folder / KEY_FILE)
    return taken
