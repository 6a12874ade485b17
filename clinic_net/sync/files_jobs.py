"""The bytes of a patient's attachments are forgotten with the record."""

from clinic_net.kernel.hub import Hub
from clinic_net.kernel.jobs import Payload, on
from clinic_net.sync import files


@on("privacy.erased")
async def forget_files(hub: Hub, payload: Payload) -> None:
    await files.forget_patient(hub, str(payload["patient"]))
