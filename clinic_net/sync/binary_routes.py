"""``/fhir/Binary/<SHA-256>``: the bytes of an attachment, for whoever may read a document that points to them.

There are no links that carry a right: whoever asks signs in as for any resource, and the right is the document's (the
``securityContext`` of FHIR R4 Binary, held in a table). So nothing can be guessed, reused or passed on.
"""

from base64 import b64encode

from fastapi import APIRouter, Depends, Response
from starlette.convertors import StringConvertor, register_url_convertor

from clinic_net.fhir import write
from clinic_net.records.formats import demand_format
from clinic_net.records.http import Exchanging, FhirRoute, fhir_json
from clinic_net.sync import files
from clinic_net.sync.files_routes import as_attachment


class _Sha256(StringConvertor):
    """A path segment that is a SHA-256 in lower-case hexadecimal; another ``Binary`` is a resource like any."""

    regex = "[0-9a-f]{64}"


register_url_convertor("sha256", _Sha256())

router = APIRouter(prefix="/fhir", route_class=FhirRoute, dependencies=[Depends(demand_format)])


@router.get("/Binary/{digest:sha256}", include_in_schema=False)
async def binary(digest: str, exchange: Exchanging) -> Response:
    """Answer the bytes as they are, or as a Binary to whoever asks for FHIR (R4 §2.40.2: served as its own type)."""
    exchange.demand("DocumentReference", "r")
    found = await files.read(exchange.s, digest, scope=exchange.scope, by=exchange.by, now=exchange.now)
    if "fhir+" in exchange.request.headers.get("accept", ""):
        return fhir_json(
            write(
                {
                    "resourceType": "Binary",
                    "id": digest,
                    "contentType": found.content_type,
                    "securityContext": {"reference": f"DocumentReference/{found.document}"},
                    "data": b64encode(found.content).decode("ascii"),
                }
            )
        )
    return Response(found.content, media_type=found.content_type, headers=as_attachment(digest))
