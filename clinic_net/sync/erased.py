"""What a station sent that could not become a record is forgotten with the record of whom it speaks."""

from sqlalchemy import or_
from sqlmodel import col, delete

from clinic_net.kernel.hub import Hub
from clinic_net.kernel.jobs import Payload, on
from clinic_net.sync import apply_store
from clinic_net.sync.model import Quarantined


@on("privacy.erased")
async def forget_quarantined(hub: Hub, payload: Payload) -> None:
    patient = str(payload["patient"])
    speaks = or_(
        col(Quarantined.text).contains(f"Patient/{patient}", autoescape=True),
        col(Quarantined.text).contains(f'"{patient}"', autoescape=True),
    )
    async with hub.sessions() as session, session.begin():
        gone = await session.exec(
            delete(Quarantined).where(speaks).returning(col(Quarantined.db_epoch), col(Quarantined.op))
        )
        await apply_store.give_up(session, [(epoch, op) for epoch, op in gone.all()])
