"""Notices to tenants' own addresses: durable before they are promised, signed, and sent until they are taken.

`enqueue` is all that the rest of the service needs. A notice may arrive more than once, never altered: `notice` in
its body is the same each time. Nothing private is in one but what the tenant is told of its own.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx

from sunward.adapters.private_sql import Notice
from sunward.adapters.web import PublicTransport, check_address
from sunward.errors import InputError
from sunward.model.codec import encode
from sunward.service.config import ServiceConfig
from sunward.service.secrecy import notice_signature, webhook_key
from sunward.units import DAY_MS, HOUR_MS, SECOND_MS

if TYPE_CHECKING:
    from sunward.service.control import ControlPlane

log = logging.getLogger("sunward.notices")

NOTICE_BYTES = 16
AT_ONCE = 16
"""Most notices sent at the same time."""
TIMEOUT_S = 10.0
FIRST_PAUSE_MS = 5 * SECOND_MS
LONGEST_PAUSE_MS = HOUR_MS
KEPT_MS = 3 * DAY_MS
"""So long a notice is tried; then it is dropped and the log says so."""
GONE = 410
"""The address says that nobody wants notices there any more."""
LOOK_S = 1.0
BAD_WEBHOOK = "SW-171"


def check_webhook(config: ServiceConfig, url: str) -> None:
    """Refuse an address that notices can never go to; none at all is no fault. Raises: InputError."""
    if url:
        check_address(url, allow_private=config.webhook_allow_private, code=BAD_WEBHOOK)


def new_notice(control: ControlPlane, tenant: str, url: str, kind: str, body: Mapping[str, object]) -> Notice:
    """A notice due now; `body` is one JSON object, to which its name and kind are added."""
    name = f"n-{secrets.token_hex(NOTICE_BYTES)}"
    now_ms = control.clock.machine_ms()
    told = encode({"notice": name, "kind": kind, **body})
    return Notice(notice=name, tenant=tenant, url=url, body=told, made_machine_ms=now_ms, due_machine_ms=now_ms)


def enqueue(control: ControlPlane, tenant: str, url: str, kind: str, body: Mapping[str, object]) -> None:
    """Put a notice in line; when this returns it is durable."""
    control.store.privates.enqueue(new_notice(control, tenant, url, kind, body))
    control.notices_wanted.set()


async def keep_delivering(control: ControlPlane, config: ServiceConfig) -> None:
    """Send what is due, again and again, until cancelled."""
    transport = PublicTransport(allow_private=config.webhook_allow_private)
    with httpx.Client(transport=transport, timeout=TIMEOUT_S, follow_redirects=False) as client:
        while True:
            control.notices_wanted.clear()
            if not await deliver_due(control, client):
                await _rest(control)


async def deliver_due(control: ControlPlane, client: httpx.Client) -> int:
    """Send what is due now, once each; how many that were."""
    due = control.store.privates.due(control.clock.machine_ms(), AT_ONCE)
    answers = await asyncio.gather(*(asyncio.to_thread(_send, control, client, one) for one in due))
    for notice, problem in zip(due, answers, strict=True):
        _settle(control, notice, problem)
    return len(due)


async def _rest(control: ControlPlane) -> None:
    """Wait until a notice is made or due."""
    next_ms = control.store.privates.next_due()
    # Machine time may be stepped; a look once in a while costs one read of an index.
    wait_s = LOOK_S if next_ms is not None else None
    try:
        await asyncio.wait_for(control.notices_wanted.wait(), wait_s)
    except TimeoutError:
        return


def _send(control: ControlPlane, client: httpx.Client, notice: Notice) -> str:
    """Why the notice was not taken; empty when it was."""
    at_ms = control.clock.machine_ms()
    signature = notice_signature(webhook_key(control.secrets, notice.tenant), at_ms, notice.body)
    headers = {
        "content-type": "application/json",
        "sunward-notice": notice.notice,
        "sunward-signature": f"t={at_ms},v1={signature}",
    }
    try:
        # The body of the answer is never read: it is nobody's business here, and may have no end.
        with client.stream("POST", notice.url, content=notice.body, headers=headers) as response:
            taken = response.is_success or response.status_code == GONE
            return "" if taken else f"it answered {response.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL, InputError) as reason:
        return str(reason) or type(reason).__name__


def _settle(control: ControlPlane, notice: Notice, problem: str) -> None:
    now_ms = control.clock.machine_ms()
    if not problem:
        control.store.privates.drop([notice.notice])
        return
    tried = replace(notice, tries=notice.tries + 1)
    if now_ms - notice.made_machine_ms >= KEPT_MS:
        log.warning("notice %s to tenant %s is given up: %s", notice.notice, notice.tenant, problem)
        control.store.privates.drop([notice.notice])
        return
    if tried.tries == 1:
        log.info("notice %s to tenant %s was not taken and is tried again: %s", notice.notice, notice.tenant, problem)
    control.store.privates.try_later(notice.notice, tried.tries, now_ms + pause_ms(tried.tries))


def pause_ms(tries: int) -> int:
    """Machine time before the next try: doubling, up to an hour."""
    return min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS << min(tries - 1, 20))
