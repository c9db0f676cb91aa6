"""An EHR made of PyPI's `fhirstarter`: its routes and its checks, a store in memory behind them. It knows no conditions, no
versions in headers and one identifier a search; what it refuses or fails at is its own. Run: `python fhirstarter_app.py PORT`.
It also lists what it holds (`/_all/Patient`), so that a test judges by its true content."""

import importlib
import os
import sys
from datetime import datetime, timezone
from itertools import count

os.environ["FHIR_SEQUENCE"] = "R4B"

import uvicorn  # noqa: E402
from fastapi.responses import JSONResponse  # noqa: E402
from fhir.resources.R4B.bundle import Bundle  # noqa: E402
from fhirstarter import FHIRProvider, FHIRStarter, InteractionContext  # noqa: E402
from fhirstarter.exceptions import FHIRResourceNotFoundError  # noqa: E402

TYPES = [
    "Practitioner", "Location", "Patient", "Schedule", "Slot", "Appointment", "Communication", "DocumentReference",
]

app = FHIRStarter()
provider = FHIRProvider()
held = {name: {} for name in TYPES}
numbers = count(1)


def keep(name, cls, id_, resource, version):
    body = resource.model_dump(mode="json")
    body["id"] = id_
    body["meta"] = {**(body.get("meta") or {}), "versionId": str(version),
                    "lastUpdated": datetime.now(timezone.utc).isoformat(timespec="milliseconds")}
    held[name][id_] = body
    return cls(**body)


def serve(name):
    cls = getattr(importlib.import_module(f"fhir.resources.R4B.{name.lower()}"), name)

    async def create(context: InteractionContext, resource):
        return keep(name, cls, str(next(numbers)), resource, 1)

    async def read(context: InteractionContext, id_: str):
        if id_ not in held[name]:
            raise FHIRResourceNotFoundError
        return cls(**held[name][id_])

    async def update(context: InteractionContext, id_: str, resource):
        if id_ not in held[name]:
            raise FHIRResourceNotFoundError
        return keep(name, cls, id_, resource, int(held[name][id_]["meta"]["versionId"]) + 1)

    async def search(context: InteractionContext, identifier: str | None) -> Bundle:
        system, _, value = (identifier or "").rpartition("|")

        def carries(body):
            return any(i.get("value") == value and system in ("", i.get("system"))
                       for i in body.get("identifier") or [])

        found = [body for body in held[name].values() if not identifier or carries(body)]
        entries = [{"resource": body, "search": {"mode": "match"}} for body in found]
        return Bundle(**{"type": "searchset", "total": len(entries), "entry": entries})

    provider.create(cls)(create)
    provider.read(cls)(read)
    provider.update(cls)(update)
    provider.search_type(cls)(search)


for each in TYPES:
    serve(each)
app.add_providers(provider)


def amended(statement, request, response):
    # The types served here are the same in R4 and R4B.
    statement["fhirVersion"] = "4.0.1"
    return statement


app.set_capability_statement_modifier(amended)


@app.get("/_all/{name}")
async def everything(name: str):
    return JSONResponse({"entry": [{"resource": body} for body in held.get(name, {}).values()]})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
