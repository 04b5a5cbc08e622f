"""Opens a control plane in a home folder, and on the first start makes its key, account and tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sunward.adapters.clock import SystemClock
from sunward.adapters.objects import FsObjectStore
from sunward.adapters.secret_file import FOLDER_MODE, write_secret
from sunward.adapters.sql import open_store
from sunward.engine.inputs import Feeds
from sunward.errors import InputError
from sunward.model.codec import decode, encode
from sunward.model.credit_events import CreditRulesSet
from sunward.model.credits import CreditRules
from sunward.model.datum import Quality
from sunward.model.events import ClockMapped, Deposited, NetworkStarted, Payload, RateObserved
from sunward.model.identity import TenantId, mint
from sunward.model.plan import PolicyInputs
from sunward.model.reserve import ReserveRules
from sunward.model.reserve_events import ReserveRulesSet
from sunward.model.staking import SlashTerm, StakingRules
from sunward.model.staking_events import StakingRulesSet
from sunward.model.trust import APPEAL_MS, DECIDE_MS
from sunward.service.auth import AUDITOR, OPERATOR, PROVIDER, TENANT
from sunward.service.config import ServiceConfig
from sunward.service.control import ControlPlane, Settings
from sunward.service.keys import (
    KEY_FILE,
    NEXT_FILE,
    Rotated,
    load_key,
    open_keys,
    require_named,
    rotation,
)
from sunward.settlement.ledger import tenant_account
from sunward.units import DAY_MS, J_PER_KWH, MICRO, WEI_PER_ATH

CREDENTIALS_FILE = "credentials.json"
DATABASE_FILE = "sunward.db"
OBJECTS_FOLDER = "objects"
OBJECTS_ADDRESS = "objects.url"
"""Where the objects of a home lie, if not in its folder: nobody can start it without them by mistake."""
OTHER_OBJECTS = "SW-699"
START_USD = 10_000
LOCAL = "local"

LOCAL_RULES = NetworkStarted(network=LOCAL, policy=PolicyInputs(), epoch_ms=DAY_MS)
LOCAL_RATE = RateObserved(
    wei_per_usd_micro=2 * 10**12, sources=("local test rate: 1 ATH = 0.50 USD",), quality=Quality.MODELLED
)
LOCAL_STAKING = StakingRulesSet(
    rules=StakingRules(
        green_ppm=500_000,
        staking_budget_wei=100 * WEI_PER_ATH,
        bonus_budget_wei=20 * WEI_PER_ATH,
        stake_wei_per_wh=WEI_PER_ATH // 500,
        load_min_ppm=50_000,
        saved_min_j=10 * J_PER_KWH,
        detection_ms=30 * DAY_MS,
        appeal_ms=APPEAL_MS + DECIDE_MS,
        exit_delay_ms=30 * DAY_MS + APPEAL_MS + DECIDE_MS,
        slash=(SlashTerm(fault="", ppm=500_000, floor_wei=100 * WEI_PER_ATH),),
    )
)
"""Of a test network: two ATH of stake are backed by a kWh, a GPU's month of 300 kWh backs 600; checks look back thirty
days, and an appeal that nobody decides ends thirty days after the time for it."""
LOCAL_CREDITS = CreditRulesSet(rules=CreditRules())
"""At the registry inside the service, whose credits count nothing."""

LOCAL_RESERVE = ReserveRulesSet(rules=ReserveRules())
"""Of a test network too: what a container costs to replace is a modelled figure, and the vault begins empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What `credentials.json` holds."""

    url: str
    tenant_token: str
    operator_token: str
    provider_token: str
    auditor_token: str


def build_control(
    home: Path,
    *,
    speed: int = 1,
    grid_start_ms: int | None = None,
    rules: NetworkStarted = LOCAL_RULES,
    rate: RateObserved = LOCAL_RATE,
    begin_with: tuple[Payload, ...] = (LOCAL_STAKING, LOCAL_CREDITS, LOCAL_RESERVE),
    grace_s: float = 30.0,
    database_url: str | None = None,
    objects_url: str | None = None,
    feeds: Feeds,
    clock: SystemClock | None = None,
) -> ControlPlane:
    """The control plane of a home folder; takes the lead, so that an older one can write no more.

    `speed` and `grid_start_ms` count only when the journal is empty.
    Raises: InputError when the folder or its key cannot be used, SourceError when the store cannot be reached.
    """
    if speed < 1:
        raise InputError("grid time runs forward: speed must be at least 1", code="SW-166")
    try:
        home.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as reason:
        raise InputError(f"cannot use {home} ({reason.strerror}); choose another home", code="SW-166") from None
    _kept(home / CREDENTIALS_FILE)  # Damaged ones are refused before anything is made.
    objects = _objects(home, objects_url)
    store = open_store(database_url or f"sqlite:///{home / DATABASE_FILE}", sign=lambda body: key.sign(body).hex())
    try:
        key, kept = open_keys(home, store)
    except InputError:
        store.close()
        raise
    clock = clock or SystemClock()
    now_ms = clock.machine_ms()
    mapping = ClockMapped(machine_ms=now_ms, grid_ms=now_ms if grid_start_ms is None else grid_start_ms, speed=speed)
    settings = Settings(first=(rules, mapping, rate, *begin_with), mapping=mapping, grace_s=grace_s)
    control = ControlPlane(store, objects, clock, feeds, key, settings, kept)
    try:
        require_named(key, control.state.rotations, home / KEY_FILE)
    except InputError:
        store.close()
        raise
    return control


def _objects(home: Path, url: str | None) -> FsObjectStore:
    """The stored objects of a home: in its folder, or at the address that it was first given.

    Raises: InputError for another address than that of the home, or where objects lie in its folder already.
    """
    note, folder = home / OBJECTS_ADDRESS, home / OBJECTS_FOLDER
    known = note.read_text(encoding="utf-8").strip() if note.exists() else ""
    if url and known and url != known:
        line = f"the objects of {home} lie at {known}; copy them to {url} and write that into {note}"
        raise InputError(line, code=OTHER_OBJECTS)
    if url and not known and any(folder.glob("[0-9a-f][0-9a-f]")):
        line = f"{folder} holds objects; copy its folders of two signs to {url}, then move it away"
        raise InputError(line, code=OTHER_OBJECTS)
    store = FsObjectStore(url or known or str(folder.absolute()))
    if url and not known:
        note.write_text(f"{url}\n", encoding="utf-8")
    return store


def require_home(home: Path, database_url: str | None) -> None:
    """Refuse a folder in which no service has run. Raises: InputError."""
    if not (home / KEY_FILE).exists() or (database_url is None and not (home / DATABASE_FILE).exists()):
        line = f"{home} holds no service; name its folder with --home, and its --database where it has one"
        raise InputError(line, code="SW-443")


def rotate_key(home: Path, feeds: Feeds, database_url: str | None = None) -> Rotated:
    """Sign with a new key from now on; no service may run on the home meanwhile: this takes the lead from it.

    Raises: InputError where there is no such home.
    """
    require_home(home, database_url)
    control = build_control(home, feeds=feeds, database_url=database_url)
    try:
        new = load_key(home / NEXT_FILE)
        payload = rotation(control.key, new)
        done = control.commit_one(payload)
        (home / NEXT_FILE).replace(home / KEY_FILE)
    finally:
        control.store.close()
    return Rotated(old_public=payload.old_public, new_public=payload.new_public, sequence=done.sequence)


def issue_credentials(control: ControlPlane, home: Path, url: str, config: ServiceConfig | None = None) -> Path:
    """The local credentials: made on first start, together with the account's test money; afterwards only the URL.

    One local account holds all four roles: its own machines take its own jobs.
    Raises: InputError when the file is there but cannot be read.
    """
    path = home / CREDENTIALS_FILE
    kept = _kept(path)
    if kept is not None:
        if not _is_ours(control, kept):
            line = f"{path} holds a login to {kept.url}; `sunward logout` first, or choose another home"
            raise InputError(line, code="SW-166")
        if kept.url != url:
            write_secret(path, encode(replace(kept, url=url)))
        return path
    subject = TenantId(mint("t", control.seed, LOCAL))
    control.store.contents.name_tenant(subject, LOCAL)
    expires_ms = control.clock.machine_ms() + (config or ServiceConfig()).token_days * DAY_MS
    tokens = {
        role: control.store.access.create_token(subject, (role,), expires_ms, note=LOCAL)
        for role in (TENANT, OPERATOR, PROVIDER, AUDITOR)
    }
    if control.state.ledger.balance(tenant_account(subject)) == 0:
        amount_wei = START_USD * MICRO * control.state.world.wei_per_usd_micro
        control.commit_one(Deposited(tenant=subject, amount_wei=amount_wei))
    write_secret(path, encode(Credentials(url=url, **{f"{role}_token": token for role, token in tokens.items()})))
    return path


def _is_ours(control: ControlPlane, kept: Credentials) -> bool:
    """Whether this service made any of these tokens, expired or not; else they belong to a login elsewhere."""
    tokens = (kept.tenant_token, kept.operator_token, kept.provider_token, kept.auditor_token)
    return any(control.store.access.lookup_token(token, 0) is not None for token in tokens if token)


def _kept(path: Path) -> Credentials | None:
    try:
        return decode(path.read_bytes(), Credentials)
    except FileNotFoundError:
        return None
    except InputError as reason:
        line = f"{path} is damaged ({reason.message}); restore it from a copy, or delete it to have new tokens made"
        raise InputError(line, code="SW-166") from None
