"""Two retirement aggregators on this machine, which answer as they document; they count what was placed with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.json_server import Asked, JsonServer, Reply

KEY = "sesame"


@dataclass
class CNaughtServer:
    """Orders by kg, at so many cents a tonne; fulfilled at once, or when a test says so."""

    cents_per_t: int = 2_500
    at_once: bool = True
    drop_after_order: bool = False
    """Take an order in and close the connection without an answer."""
    status: int = 0
    orders: list[dict[str, Any]] = field(default_factory=list)
    server: JsonServer = field(init=False)

    def __post_init__(self) -> None:
        self.server = JsonServer(self.answer)

    @property
    def url(self) -> str:
        return f"{self.server.url}/v1"

    def answer(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return Reply({"title": "Unauthorized"}, 401)
        if self.status:
            return Reply({}, self.status)
        path = urlsplit(asked.path)
        if asked.method == "POST" and path.path == "/v1/quotes":
            kg = asked.body["amount_kg"]
            return Reply({"amount_kg": kg, "price_usd_cents": -(-kg * self.cents_per_t // 1_000)})
        if asked.method == "POST" and path.path == "/v1/orders":
            return self._place(asked)
        if path.path == "/v1/orders":
            return self._list(parse_qs(path.query))
        known = [one for one in self.orders if one["id"] == path.path.rpartition("/")[2]]
        return Reply(self._shown(known[0]) if known else {}, 200 if known else 404)

    def _place(self, asked: Asked) -> Reply:
        key = asked.headers.get("idempotency-key", "")
        known = [one for one in self.orders if key and one["key"] == key]
        if not known:
            number = len(self.orders) + 1
            self.orders.append(
                {
                    "id": f"o{number}",
                    "order_number": str(number),
                    "created_on": "2026-11-23T00:00:00Z",
                    "key": key,
                    "amount_kg": asked.body["amount_kg"],
                    "metadata": asked.body["metadata"],
                    "description": asked.body["description"],
                    "price_usd_cents": -(-asked.body["amount_kg"] * self.cents_per_t // 1_000),
                    "state": "fulfilled" if self.at_once else "placed",
                }
            )
            known = self.orders[-1:]
        return Reply(self._shown(known[0]), 201, drop=self.drop_after_order)

    def _list(self, query: dict[str, list[str]]) -> Reply:
        newest = [self._shown(one) | {"project_allocations": []} for one in reversed(self.orders)]
        after = query.get("starting_after", [""])[0]
        start = next((place + 1 for place, one in enumerate(newest) if one["id"] == after), 0)
        return Reply({"data": newest[start : start + int(query["limit"][0])]})

    def _shown(self, one: dict[str, Any]) -> dict[str, Any]:
        kg = one["amount_kg"]
        parts = [(kg - kg // 3, "kariba"), (kg // 3, "tuyil")]
        return {name: value for name, value in one.items() if name != "key"} | {
            "certificate_public_url": f"https://certificates.cnaught.com/{one['id']}",
            "project_allocations": [
                {
                    "project": {"id": project, "name": project.title(), "type": "cookstoves", "un_sdg_goals": [13]},
                    "amount_kg": part,
                    "retirements": [{"serial_number_range": f"GS1-1-KE-GS-{one['order_number']}", "url": "https://r"}],
                }
                for part, project in parts
                if part
            ]
            if one["state"] == "fulfilled"
            else [],
        }


LISTINGS: tuple[tuple[str, int, float, float], ...] = (
    ("VCS-191", 2008, 0.99, 900.0),
    ("VCS-1100", 2023, 4.50, 900.0),
    ("VCS-7", 2024, 3.00, 0.001),
    ("GS-5", 2024, 7.25, 50.0),
)
"""Project, vintage, USD a tonne, tonnes there are."""
PROJECTS = {
    "VCS-191": ("China", "ACM0002"),
    "VCS-1100": ("Spain", "ACM0002"),
    "VCS-7": ("Spain", "VM0007"),
    "GS-5": ("Unknownia", "GS-METER"),
}


@dataclass
class CarbonmarkServer:
    """Listings, quotes and orders; an order uses its quote up."""

    at_once: bool = True
    drop_after_order: bool = False
    status: int = 0
    quotes: dict[str, dict[str, Any]] = field(default_factory=dict)
    orders: list[dict[str, Any]] = field(default_factory=list)
    server: JsonServer = field(init=False)

    def __post_init__(self) -> None:
        self.server = JsonServer(self.answer)

    @property
    def url(self) -> str:
        return self.server.url

    def answer(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return Reply({}, 401)
        if self.status:
            return Reply({}, self.status)
        path = urlsplit(asked.path)
        query = parse_qs(path.query)
        if path.path == "/prices":
            return Reply([_listing(*one) for one in LISTINGS if one[0] in query["projectIds"]])
        if path.path.startswith("/carbonProjects/"):
            country, method = PROJECTS[path.path.rpartition("/")[2]]
            return Reply({"country": country, "methodologies": [{"id": method, "category": "x", "name": "y"}]})
        if path.path == "/quotes":
            return self._quote(asked)
        if asked.method == "POST":
            return self._place(asked)
        return Reply([self._shown(one) for one in self.orders if one["quote"]["uuid"] == query["quote_uuid"][0]])

    def _quote(self, asked: Asked) -> Reply:
        project = asked.body["asset_price_source_id"].rpartition("/")[2]
        price = next(usd for name, _, usd, _ in LISTINGS if name == project)
        uuid = f"quote-{len(self.quotes) + 1}"
        tonnes = asked.body["quantity_tonnes"]
        self.quotes[uuid] = {
            "uuid": uuid,
            "asset_price_source_id": asked.body["asset_price_source_id"],
            "quantity_tonnes": tonnes,
            "cost_usdc": round(price * tonnes, 6),
            "consumed": 0,
        }
        return Reply(self.quotes[uuid])

    def _place(self, asked: Asked) -> Reply:
        quote = self.quotes[asked.body["quote_uuid"]]
        if quote["consumed"]:
            return Reply({"message": "quote consumed"}, 400)
        quote["consumed"] = 1
        self.orders.append({"quote": quote, "message": asked.body["retirement_message"]} | asked.body)
        return Reply(self._shown(self.orders[-1]), drop=self.drop_after_order)

    def _shown(self, one: dict[str, Any]) -> dict[str, Any]:
        number = self.orders.index(one)
        return {
            "created_at": "2026-11-23T00:00:00+00:00",
            "status": "COMPLETED" if self.at_once else "SUBMITTED",
            "transaction_hash": f"0x{number:064x}" if self.at_once else None,
            "polygonscan_url": None,
            "view_retirement_url": f"https://carbonmark.com/retirements/0xabc/{number}" if self.at_once else None,
            "quote": one["quote"],
            "registry_specific_data": {},
        }


def _listing(project: str, vintage: int, usd: float, tonnes: float) -> dict[str, Any]:
    return {
        "sourceId": f"listing/{project}",
        "type": "listing",
        "purchasePrice": usd,
        "baseUnitPrice": usd * 0.8,
        "supply": tonnes,
        "minFillAmount": 0.001,
        "listing": {"id": "0x1", "creditId": {"vintage": vintage, "projectId": project}, "sellerId": "0x2"},
    }
