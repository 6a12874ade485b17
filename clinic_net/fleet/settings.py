"""What stations are to work by: settings in layers, the nation's under the province's under the site's own. Pure."""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clinic_net.fleet.errors import UnusableSettings
from clinic_net.kernel.errors import Place

NATIONAL = "national"


class StationSettings(BaseModel):
    """What a layer may say. What it leaves out is taken from the layer above it, or left to the station."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    day_bytes: Annotated[int, Field(ge=100_000, le=10**12)] | None = None
    """Bytes a day on the wire; the urgent lane is never stopped by it."""
    pull_every_s: Annotated[int, Field(ge=15, le=3600)] | None = None
    """Seconds between two pulls without a poke."""
    features: dict[Annotated[str, Field(pattern=r"^[a-z][a-z_]{1,39}$")], bool] | None = None
    """What is switched on or off, by name; merged name by name."""


def layers_of(site: str, province: str | None) -> tuple[str, ...]:
    """Return the layers that a site stands under, the widest first."""
    between = () if province is None else (f"province:{province}",)
    return (NATIONAL, *between, f"site:{site}")


def checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a layer says, as it is kept.

    Raises:
        UnusableSettings: something in it is unknown, or out of bounds.
    """
    try:
        return StationSettings.model_validate(dict(given)).model_dump(exclude_none=True)
    except ValidationError as invalid:
        errors = invalid.errors(include_input=False, include_context=False, include_url=False)
        places = [
            Place(
                ".".join(str(part) for part in error["loc"]), error["type"].replace("_", "-"), error["type"]
            )
            for error in errors
        ]
        raise UnusableSettings(places=places[:20]) from None


def merged(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what comes of layers, each laid over those before it."""
    whole: dict[str, Any] = {}
    for layer in layers:
        features = {**whole.get("features", {}), **layer.get("features", {})}
        whole = {**whole, **layer}
        if features:
            whole["features"] = features
    return whole


def version_of(settings: Mapping[str, Any]) -> str:
    """Return the name of settings, the same wherever they come from; empty for none."""
    if not settings:
        return ""
    return sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
