"""Who asks: bearer tokens, their scopes, and what each may touch.

A token is found by its SHA-256, so no comparison runs over the secret itself. A scope of `agent:{site}` binds an
agent to its site. What belongs to another tenant is not there: 404, never 403.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from sunward.model.identity import SiteId, TenantId
from sunward.service.config import ServiceConfig
from sunward.service.control import ControlPlane
from sunward.service.problems import RequestError

TENANT, PROVIDER, OPERATOR, AUDITOR, AGENT = "tenant", "provider", "operator", "auditor", "agent"
AGENT_PREFIX = f"{AGENT}:"
NO_TOKEN, NO_RIGHT = "SW-401", "SW-403"

_bearer = HTTPBearer(auto_error=False, description="A token of this service.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The subject of a valid token and what the token allows."""

    subject: TenantId
    roles: frozenset[str]
    site: SiteId | None
    """The site an agent's token is bound to."""
    expires_machine_ms: int

    def has(self, *roles: str) -> bool:
        """Whether the token allows any of these roles."""
        return not self.roles.isdisjoint(roles)


def control_of(request: Request) -> ControlPlane:
    """The control plane behind this application."""
    found: ControlPlane = request.app.state.control
    return found


def config_of(request: Request) -> ServiceConfig:
    """The settings of this application."""
    found: ServiceConfig = request.app.state.config
    return found


Plane = Annotated[ControlPlane, Depends(control_of)]
Config = Annotated[ServiceConfig, Depends(config_of)]


async def identify(
    control: Plane, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
) -> Caller:
    """The caller behind the bearer token.

    Raises: RequestError (401).
    """
    secret = credentials.credentials if credentials else ""
    token = control.store.access.lookup_token(secret, control.clock.machine_ms()) if secret else None
    if token is None:
        raise RequestError(
            "send a valid token as `Authorization: Bearer …`; this one is missing, unknown or expired",
            status=401,
            code=NO_TOKEN,
            headers={"WWW-Authenticate": "Bearer"},
        )
    sites = [scope.removeprefix(AGENT_PREFIX) for scope in token.scopes if scope.startswith(AGENT_PREFIX)]
    roles = {AGENT if scope.startswith(AGENT_PREFIX) else scope for scope in token.scopes}
    return Caller(
        subject=TenantId(token.subject),
        roles=frozenset(roles),
        site=SiteId(sites[0]) if len(sites) == 1 else None,
        expires_machine_ms=token.expires_machine_ms,
    )


def allow(*roles: str) -> Callable[[Caller], Awaitable[Caller]]:
    """A dependency that lets only these roles pass."""

    async def allowed(caller: Annotated[Caller, Depends(identify)]) -> Caller:
        if not caller.has(*roles):
            need = " or ".join(roles)
            raise RequestError(f"this needs a token of role {need}", status=403, code=NO_RIGHT)
        return caller

    return allowed


Anyone = Annotated[Caller, Depends(identify)]
Tenant = Annotated[Caller, Depends(allow(TENANT))]
Reader = Annotated[Caller, Depends(allow(TENANT, OPERATOR, AUDITOR))]
"""Reads jobs and receipts: a tenant its own, operator and auditor all, without private content."""
Operator = Annotated[Caller, Depends(allow(OPERATOR))]
Enroller = Annotated[Caller, Depends(allow(OPERATOR, PROVIDER))]
Auditor = Annotated[Caller, Depends(allow(AUDITOR, OPERATOR))]
Holder = Annotated[Caller, Depends(allow(TENANT, PROVIDER))]
Bookkeeper = Annotated[Caller, Depends(allow(TENANT, PROVIDER, AUDITOR, OPERATOR))]


async def agent_site(control: Plane, caller: Annotated[Caller, Depends(allow(AGENT))]) -> SiteId:
    """The site whose agent calls.

    Raises: RequestError (403) for a token that is bound to no enrolled site.
    """
    known = control.state.world.sites.get(caller.site) if caller.site else None
    if caller.site is None or known is None or known.left_ms:
        raise RequestError("this token is bound to no enrolled site; join again", status=403, code=NO_RIGHT)
    return caller.site


AgentSite = Annotated[SiteId, Depends(agent_site)]
