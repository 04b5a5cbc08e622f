"""Who asks: bearer tokens, their scopes, and what each may touch.

A token is found by its SHA-256, so no comparison runs over the secret itself. A scope of `agent:{site}` binds an
agent to its site. What belongs to another tenant is not there: 404, never 403.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from sunward.errors import InvariantError
from sunward.model.codec import digest_bytes
from sunward.model.identity import SiteId, TenantId
from sunward.service.config import ServiceConfig
from sunward.service.control import ControlPlane
from sunward.service.limits import address_of, limits_of
from sunward.service.problems import RequestError

TENANT, PROVIDER, OPERATOR, AUDITOR, AGENT = "tenant", "provider", "operator", "auditor", "agent"
ANCHOR = "anchor"
"""Measures where sites can be."""
ROLES = (TENANT, PROVIDER, OPERATOR, AUDITOR, AGENT, ANCHOR)
OPEN = frozenset({"/healthz", "/openapi.json", "/v1/agents/enroll"})
"""Routes that take no bearer token: enrolment brings its own."""
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
    address: str = ""
    """Where the request came from, as far as that is known."""

    def has(self, *roles: str) -> bool:
        """Whether the token allows any of these roles."""
        return not self.roles.isdisjoint(roles)


# Asynchronous without need: what is not is called in a thread, which costs more than the rest of a small request.
async def control_of(request: Request) -> ControlPlane:
    """The control plane behind this application.

    Raises: SourceError or InvariantError once it has failed: it no longer knows what is recorded.
    """
    found: ControlPlane = request.app.state.control
    stopping = found.stopping()
    if stopping is not None:
        raise stopping
    return found


async def config_of(request: Request) -> ServiceConfig:
    """The settings of this application."""
    found: ServiceConfig = request.app.state.config
    return found


Plane = Annotated[ControlPlane, Depends(control_of)]
Config = Annotated[ServiceConfig, Depends(config_of)]


async def identify(
    control: Plane, request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
) -> Caller:
    """The caller behind the bearer token, counted against its limits.

    Raises: RequestError (401, 429).
    """
    limits, address = limits_of(request), address_of(request)
    secret = credentials.credentials if credentials else ""
    key = digest_bytes(secret.encode())
    if secret:
        limits.guard(address, key)
    token = control.store.access.lookup_token(secret, control.clock.machine_ms()) if secret else None
    if token is None:
        if secret:
            limits.fail(address)
        raise RequestError(
            "send a valid token as `Authorization: Bearer …`; this one is missing, unknown or expired",
            status=401,
            code=NO_TOKEN,
            headers={"WWW-Authenticate": "Bearer"},
        )
    sites = [scope.removeprefix(AGENT_PREFIX) for scope in token.scopes if scope.startswith(AGENT_PREFIX)]
    roles = {AGENT if scope.startswith(AGENT_PREFIX) else scope for scope in token.scopes}
    limits.use(key, request.method, agent=AGENT in roles)
    return Caller(
        subject=TenantId(token.subject),
        roles=frozenset(roles),
        site=SiteId(sites[0]) if len(sites) == 1 else None,
        expires_machine_ms=token.expires_machine_ms,
        address=address,
    )


@dataclass(frozen=True, slots=True)
class Allow:
    """A dependency that lets only some roles pass; it declares them for the route that has it."""

    roles: tuple[str, ...]

    async def __call__(self, caller: Annotated[Caller, Depends(identify)]) -> Caller:
        """The caller. Raises: RequestError (403)."""
        if not caller.has(*self.roles):
            need = " or ".join(self.roles)
            raise RequestError(f"this needs a token of role {need}", status=403, code=NO_RIGHT)
        return caller


def allow(*roles: str) -> Allow:
    """A dependency that lets only these roles pass."""
    return Allow(roles)


def declared_roles(route: APIRoute) -> frozenset[str]:
    """The roles a route says it is for; none for a route that forgot."""
    return frozenset(role for one in _dependencies(route.dependant) if isinstance(one, Allow) for role in one.roles)


def _dependencies(dependant: Dependant) -> Iterator[object]:
    for one in dependant.dependencies:
        yield one.call
        yield from _dependencies(one)


def require_declared(app: FastAPI) -> None:
    """Refuse to build a service with a route that anybody could use because its roles were forgotten.

    Raises: InvariantError.
    """
    for route in app.routes:
        path = getattr(route, "path", "")
        if path not in OPEN and not (isinstance(route, APIRoute) and declared_roles(route)):
            raise InvariantError(f"route {path} declares no roles")


Anyone = Annotated[Caller, Depends(allow(*ROLES))]
Tenant = Annotated[Caller, Depends(allow(TENANT))]
Reader = Annotated[Caller, Depends(allow(TENANT, OPERATOR, AUDITOR))]
"""Reads jobs and receipts: a tenant its own, operator and auditor all, without private content."""
Operator = Annotated[Caller, Depends(allow(OPERATOR))]
Enroller = Annotated[Caller, Depends(allow(OPERATOR, PROVIDER))]
Auditor = Annotated[Caller, Depends(allow(AUDITOR, OPERATOR))]
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
