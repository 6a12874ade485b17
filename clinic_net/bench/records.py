"""``clinic-net bench records``: what the FHIR side does in a second, by kind of work, and how growth changes it."""

import asyncio
import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from clinic_net.bench.hub import MeasuredHub
from clinic_net.bench.load import Answer, Client, Load, Request, press
from clinic_net.bench.sample import (
    CITIZEN,
    FAMILY,
    FREQUENT,
    LOINC,
    Resource,
    Sample,
    text,
    transaction,
)

COUNTS = (8, 32)
"""How many clients ask at once."""
_LOADERS = 8
_BUNDLE = 300
_MADE_BEFORE = {"transaction of 20": 400, "transaction of 300": 60}
"""How many different requests of a kind are sent, in turn."""

Say = Callable[[str], None]


@dataclass
class Stock:
    """What is in the store: whom to ask about. Ids are the hub's."""

    patients: list[tuple[str, str]] = field(default_factory=list)
    """Id and citizen number."""
    observations: list[tuple[str, str]] = field(default_factory=list)
    """Id of the observation and of its patient."""
    resources: int = 0


class Records:
    """The works, on one hub."""

    def __init__(self, hub: MeasuredHub, *, seed: int = 1) -> None:
        self._hub = hub
        self._sample = Sample(seed)
        self._random = random.Random(seed)  # noqa: S311 -- which record is asked for, the same in every run
        self.stock = Stock()

    async def fill(self, resources: int, say: Say) -> Load:
        """Bring the store to so many resources, by transactions of some 300, and return how fast that went."""
        headers = await self._hub.headers()
        clients = [Client(self._hub.url, headers) for _ in range(_LOADERS)]
        loads = []
        while self.stock.resources < resources:
            # In portions: a token does not last for the whole of it.
            portion = min(resources, self.stock.resources + 50_000)
            fresh = await self._hub.headers()
            for client in clients:
                client.headers = fresh
            loads.append(await press(clients, self._people(portion), seconds=3600, good=self._kept))
            say(f"stored {self.stock.resources:,} resources")
        for client in clients:
            client.close()
        return Load(
            sum(load.seconds for load in loads),
            sorted(itertools.chain.from_iterable(load.latencies for load in loads)),
            sum(load.resources for load in loads),
        )

    def _people(self, resources: int) -> Iterator[Request]:
        planned = self.stock.resources
        while planned < resources:
            entries: list[tuple[str, Resource]] = []
            while len(entries) < _BUNDLE - 29:
                person = self._sample.person()
                entries += person.entries
            planned += len(entries)
            yield Request("POST", "/fhir", transaction(entries), weight=len(entries))

    def _kept(self, answer: Answer) -> bool:
        if answer.status != 200:
            return False
        patient = ""
        for entry in json.loads(answer.body)["entry"]:
            rtype, fid = entry["response"]["location"].split("/fhir/")[-1].split("/")[:2]
            if rtype == "Patient":
                patient = fid
                self.stock.patients.append((fid, f"{len(self.stock.patients):012d}"))
            elif rtype == "Observation":
                self.stock.observations.append((fid, patient))
            self.stock.resources += 1
        return True

    def works(self) -> dict[str, tuple[Callable[[], Request], Callable[[Answer], bool]]]:
        """Return each kind of work by its name: the next request, and whether an answer is good."""
        return {
            "create": (self._create, lambda answer: answer.status == 201),
            "read": (self._read, lambda answer: answer.status == 200),
            "update": (self._update, lambda answer: answer.status == 200),
            "search patient + code, newest 20": (self._by_code, _found),
            "search patient + date": (self._by_date, _found),
            "search name": (self._by_name, _found),
            "search chained": (self._chained, _found),
            "search frequent code, newest 20": (self._frequent, _found),
            "transaction of 20": (lambda: self._bundle(20), lambda answer: answer.status == 200),
            "transaction of 300": (lambda: self._bundle(300), lambda answer: answer.status == 200),
            "$everything": (self._everything, _found),
        }

    async def measure(self, name: str, clients: int, *, seconds: float) -> dict[str, Any]:
        """Press one kind of work and return its figures. What is sent was made before the clock starts."""
        ask, good = self.works()[name]
        requests = [ask() for _ in range(_MADE_BEFORE.get(name, 3000))]
        asking = await self._clients(clients)
        endless = itertools.cycle(requests)
        await press(asking, endless, seconds=min(2.0, seconds / 3), good=good)  # connections, caches, plans
        spent, written = self._hub.spent(), self._hub.written()
        load = await press(asking, endless, seconds=seconds, good=good)
        now_spent, now_written = self._hub.spent(), self._hub.written()
        for client in asking:
            client.close()
        count = len(load.latencies)
        figures: dict[str, Any] = {"clients": clients, **_rates(load)}
        if self._hub.database is not None:
            figures["hub_cpu_us"] = round((now_spent[0] - spent[0]) / count * 1e6)
            figures["database_cpu_us"] = round((now_spent[1] - spent[1]) / count * 1e6)
            figures["wal_bytes"] = round((now_written[0] - written[0]) / count)
        return figures

    async def measure_beside_bundles(self, *, seconds: float) -> dict[str, Any]:
        """Press single reads while bundles of 300 pour in; return the reads' figures."""
        works = self.works()
        reading, pouring = works["read"], works["transaction of 300"]
        reads = itertools.cycle([reading[0]() for _ in range(3000)])
        bundles = itertools.cycle([pouring[0]() for _ in range(40)])
        readers, pourers = await self._clients(8), await self._clients(8)
        load, poured = await asyncio.gather(
            press(readers, reads, seconds=seconds, good=reading[1]),
            press(pourers, bundles, seconds=seconds, good=pouring[1]),
        )
        for client in (*readers, *pourers):
            client.close()
        resources = round(poured.resources / poured.seconds, 1)
        return {"clients": 8, **_rates(load), "beside_resources_per_second": resources}

    async def _clients(self, count: int) -> list[Client]:
        headers = await self._hub.headers()
        return [Client(self._hub.url, headers) for _ in range(count)]

    def _someone(self) -> tuple[str, str]:
        return self._random.choice(self.stock.patients)

    def _create(self) -> Request:
        patient, _ = self._someone()
        return Request("POST", "/fhir/Observation", text(self._sample.observation(f"Patient/{patient}")))

    def _read(self) -> Request:
        fid, _ = self._random.choice(self.stock.observations)
        return Request("GET", f"/fhir/Observation/{fid}")

    def _update(self) -> Request:
        fid, patient = self._random.choice(self.stock.observations)
        changed = {"resourceType": "Observation", "id": fid, **self._sample.observation(f"Patient/{patient}")}
        return Request("PUT", f"/fhir/Observation/{fid}", text(changed))

    def _by_code(self) -> Request:
        patient, _ = self._someone()
        code = quote(f"{LOINC}|{FREQUENT}", safe="")
        return Request("GET", f"/fhir/Observation?patient=Patient/{patient}&code={code}&_count=20")

    def _by_date(self) -> Request:
        patient, _ = self._someone()
        month = self._random.randrange(1, 11)
        since, until = f"ge2026-{month:02d}-01", f"lt2026-{month + 1:02d}-15"
        return Request(
            "GET", f"/fhir/Observation?patient=Patient/{patient}&date={since}&date={until}&_count=20"
        )

    def _by_name(self) -> Request:
        return Request("GET", f"/fhir/Patient?name={quote(self._random.choice(FAMILY))}&_count=20")

    def _chained(self) -> Request:
        _, number = self._someone()
        identifier = quote(f"{CITIZEN}|{number}", safe="")
        return Request("GET", f"/fhir/Observation?patient.identifier={identifier}&code={FREQUENT}&_count=20")

    def _frequent(self) -> Request:
        return Request("GET", f"/fhir/Observation?code={quote(f'{LOINC}|{FREQUENT}', safe='')}&_count=20")

    def _bundle(self, size: int) -> Request:
        entries: list[tuple[str, Resource]] = []
        while len(entries) < size:
            entries += self._sample.person().entries[: min(30, size - len(entries))]
        return Request("POST", "/fhir", transaction(entries), weight=size)

    def _everything(self) -> Request:
        patient, _ = self._someone()
        return Request("GET", f"/fhir/Patient/{patient}/$everything")


def _found(answer: Answer) -> bool:
    return answer.status == 200


def _rates(load: Load) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "per_second": round(len(load.latencies) / load.seconds, 1),
        "p50_ms": round(load.quantile(0.5) * 1000, 2),
        "p99_ms": round(load.quantile(0.99) * 1000, 2),
    }
    if load.resources != len(load.latencies):
        figures["resources_per_second"] = round(load.resources / load.seconds, 1)
    return figures
