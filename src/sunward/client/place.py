"""The grid zone of whoever sits here, as far as the machine's time zone tells."""

from __future__ import annotations

from collections.abc import Mapping
from gettext import gettext as _
from pathlib import Path

from sunward.errors import InputError
from sunward.signals import zones

LOCALTIME = Path("/etc/localtime")
DATABASE = "zoneinfo/"


def origin_zone(environ: Mapping[str, str], localtime: Path = LOCALTIME) -> str:
    """The zone named by `SUNWARD_ZONE`, else the only one in this machine's time zone.

    Raises: InputError when neither says; a wrong origin would make a wrong comparison, so it is never guessed.
    """
    if environ.get("SUNWARD_ZONE"):
        return environ["SUNWARD_ZONE"]
    name = environ.get("TZ", "").removeprefix(":") or _linked(localtime)
    here = [zone.zone for zone in zones.load().zones if zone.tz == name and not zone.aggregate]
    if len(here) == 1:
        return here[0]
    some = _(", such as {zones}").format(zones=", ".join(here[:5])) if here else ""
    line = _("your grid zone is not known; give --zone or set SUNWARD_ZONE (`sunward catalog zones` lists them{some})")
    raise InputError(line.format(some=some), code="SW-603")


def _linked(localtime: Path) -> str:
    target = str(localtime.resolve())
    return target.partition(DATABASE)[2]
